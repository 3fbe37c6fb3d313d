//! How many tokens a prompt has, by the estimate of `tokenweir_llm::tokens`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokenweir_llm::tokens::estimate;

/// Tokens that a chat format spends around each message, and once a prompt.
const PER_MESSAGE: u64 = 4;
const PER_PROMPT: u64 = 3;

/// The fields of a completion request that shape the answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Shaping<'a> {
    #[serde(borrow)]
    pub(super) messages: Option<&'a RawValue>,
    /// Anthropic has the system prompt apart.
    #[serde(borrow)]
    pub(super) system: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) seed: Option<&'a RawValue>,
    /// vLLM's extension: the answer has as many tokens as the request allows.
    pub(super) ignore_eos: Option<bool>,
}

impl Shaping<'_> {
    /// Tokens of everything the model reads. An odd part counts as nothing: the wire was checked before.
    pub(super) fn prompt_tokens(&self) -> u64 {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow, default)]
            content: Option<&'a RawValue>,
        }
        let messages = self
            .messages
            .and_then(|raw| serde_json::from_str::<Vec<Message<'_>>>(raw.get()).ok());
        let chat = messages.map_or(0, |messages| {
            let texts: u64 = messages.iter().filter_map(|message| message.content).map(content).sum();
            texts + PER_MESSAGE * messages.len() as u64 + PER_PROMPT
        });
        chat + self.system.map_or(0, content) + self.prompt.map_or(0, content)
    }
}

/// Tokens of a text, of a list of texts or typed parts, or of a list of token numbers.
pub(super) fn content(raw: &RawValue) -> u64 {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default)]
        text: Option<Cow<'a, str>>,
    }
    if let Some(text) = text(raw) {
        return estimate(&text);
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        let of = |item: &&RawValue| match item.get().as_bytes() {
            [b'"', ..] => text(item).map_or(0, |text| estimate(&text)),
            [b'{', ..] => serde_json::from_str::<Part<'_>>(item.get())
                .ok()
                .and_then(|part| part.text)
                .map_or(0, |text| estimate(&text)),
            // A list of token numbers in a list.
            [b'[', ..] => {
                serde_json::from_str::<Vec<serde::de::IgnoredAny>>(item.get()).map_or(0, |numbers| numbers.len() as u64)
            }
            [b'0'..=b'9', ..] => 1,
            _ => 0,
        };
        return items.iter().map(of).sum();
    }
    0
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_prompt_are_counted() {
        for (body, tokens) in [
            (r#"{"messages":[{"role":"user","content":"hello world"}]}"#, 2 + 4 + 3),
            (
                r#"{"messages":[{"content":[{"type":"text","text":"hello"},{"type":"image_url"}]},{"content":null}]}"#,
                1 + 8 + 3,
            ),
            (r#"{"prompt":"hello world"}"#, 2),
            (r#"{"prompt":["hello","world"]}"#, 2),
            (r#"{"prompt":[1,2,3]}"#, 3),
            (r#"{"prompt":[[1,2],[3]]}"#, 3),
            (r#"{"system":"be kind","messages":[]}"#, 2 + 3),
            (r#"{"messages":7}"#, 0),
        ] {
            let shaping: Shaping<'_> = serde_json::from_str(body).unwrap();
            assert_eq!(shaping.prompt_tokens(), tokens, "{body}");
        }
    }
}
