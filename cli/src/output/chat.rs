//! What is known about an answer.

use std::time::Duration;

use super::table::clean;
use crate::chat::Told;

/// One line: how long it took, what it cost, and who answered.
pub fn chat_facts(told: &Told) -> String {
    let mut facts = Vec::new();
    if let Some(first) = told.first {
        facts.push(format!("first token {}", span(first)));
    }
    facts.push(format!("all {}", span(told.total)));
    let count = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let usage = &told.usage;
    facts.push(format!(
        "tokens {} in, {} out",
        count(usage.prompt_tokens),
        count(usage.completion_tokens)
    ));
    if let (Some(first), Some(tokens)) = (told.first, usage.completion_tokens) {
        let streaming = told.total.saturating_sub(first).as_secs_f64();
        if tokens > 1 && streaming > 0.001 {
            facts.push(format!("{:.0} tokens/s", (tokens - 1) as f64 / streaming));
        }
    }
    if !told.provider.is_empty() {
        let tries = if told.attempts > 1 {
            format!(" at try {}", told.attempts)
        } else {
            String::new()
        };
        facts.push(format!("provider {}{tries}", told.provider));
    }
    if !told.model.is_empty() {
        facts.push(format!("model {}", told.model));
    }
    if !told.request_id.is_empty() {
        facts.push(format!("request {}", told.request_id));
    }
    if let Some(ended) = &told.ended {
        facts.push(ended.clone());
    }
    // The model's name, the provider's and the request's id come from the other side.
    clean(&format!("[{}]", facts.join(", ")))
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A text as a terminal may have it: a model must not steer it.
pub fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use tokenweir_llm::Usage;

    use super::*;

    #[test]
    fn the_facts_are_one_line_and_leave_out_what_is_not_known() {
        let mut told = Told {
            first: Some(Duration::from_millis(120)),
            total: Duration::from_millis(1_120),
            usage: Usage {
                prompt_tokens: Some(12),
                completion_tokens: Some(51),
                ..Usage::default()
            },
            provider: "sim".to_owned(),
            attempts: 2,
            request_id: "r-1".to_owned(),
            model: "sim-small".to_owned(),
            ended: Some("the limit on tokens was met".to_owned()),
            ..Told::default()
        };
        insta::assert_snapshot!(chat_facts(&told), @"[first token 120 ms, all 1.1 s, tokens 12 in, 51 out, 50 tokens/s, provider sim at try 2, model sim-small, request r-1, the limit on tokens was met]");
        told = Told {
            total: Duration::from_secs(2),
            ..Told::default()
        };
        assert_eq!(chat_facts(&told), "[all 2.0 s, tokens ? in, ? out]");
        told.model = "a\x1b[2J\u{9b}31m\nb".to_owned();
        assert_eq!(chat_facts(&told), "[all 2.0 s, tokens ? in, ? out, model a[2J31m b]");
    }

    #[test]
    fn what_a_model_says_cannot_steer_the_terminal() {
        assert_eq!(shown("a\x1b[2J\r\nb\tc"), "a[2J\nb\tc");
    }
}
