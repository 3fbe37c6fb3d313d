//! Tokens of a whole answer whose provider does not say how many there are.

use std::borrow::Cow;

use serde::Deserialize;

use crate::Operation;
use crate::tokens::estimate;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    /// Of chat and text completions.
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    /// Of messages.
    #[serde(borrow)]
    content: Vec<Piece<'a>>,
    /// Of responses.
    #[serde(borrow)]
    output: Vec<Item<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Piece<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input: Option<&'a serde_json::value::RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    content: Option<Vec<Piece<'a>>>,
    #[serde(borrow)]
    summary: Option<Vec<Piece<'a>>>,
    #[serde(borrow)]
    arguments: Option<Cow<'a, str>>,
}

/// How many tokens a whole answer has by the estimate of its text, thoughts and arguments: for providers that report no
/// usage. 0 where nothing of that can be read.
pub fn estimate_of_answer(operation: Operation, body: &[u8]) -> u64 {
    if operation == Operation::Embeddings {
        return 0;
    }
    let Ok(body) = serde_json::from_slice::<Body<'_>>(body) else {
        return 0;
    };
    let choices = body.choices.iter().map(Choice::tokens).sum::<u64>();
    choices + pieces(&body.content) + body.output.iter().map(Item::tokens).sum::<u64>()
}

fn of(text: Option<&Cow<'_, str>>) -> u64 {
    text.map_or(0, |text| estimate(text))
}

fn pieces(pieces: &[Piece<'_>]) -> u64 {
    pieces.iter().map(Piece::tokens).sum()
}

impl Choice<'_> {
    fn tokens(&self) -> u64 {
        let Some(message) = &self.message else {
            return of(self.text.as_ref());
        };
        let calls = message.tool_calls.iter().flatten();
        of(message.content.as_ref())
            + of(message.reasoning_content.as_ref())
            + of(message.refusal.as_ref())
            + calls.map(|call| estimate(&call.function.arguments)).sum::<u64>()
    }
}

impl Piece<'_> {
    fn tokens(&self) -> u64 {
        let input = self.input.map_or(0, |input| estimate(input.get()));
        of(self.text.as_ref()) + of(self.thinking.as_ref()) + of(self.refusal.as_ref()) + input
    }
}

impl Item<'_> {
    fn tokens(&self) -> u64 {
        let content = self.content.as_deref().map_or(0, pieces);
        content + self.summary.as_deref().map_or(0, pieces) + of(self.arguments.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_thoughts_and_arguments_of_all_forms_count() {
        for (operation, body, tokens) in [
            (
                Operation::Chat,
                r#"{"choices":[{"message":{"content":"one two","reasoning_content":"three"}},
                   {"message":{"content":null,"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
                2 + 1 + 1,
            ),
            (Operation::TextCompletion, r#"{"choices":[{"text":"one two"}]}"#, 2),
            (
                Operation::Messages,
                r#"{"content":[{"type":"thinking","thinking":"one"},{"type":"text","text":"two"},{"type":"tool_use","input":{}}]}"#,
                3,
            ),
            (
                Operation::Responses,
                r#"{"output":[{"content":[{"text":"one"}]},{"arguments":"{}"},{"summary":[{"text":"two"}]}]}"#,
                3,
            ),
            (Operation::Embeddings, r#"{"choices":[{"text":"one"}]}"#, 0),
            (Operation::Chat, "{", 0),
            (Operation::Chat, r#"{"choices":7}"#, 0),
        ] {
            assert_eq!(estimate_of_answer(operation, body.as_bytes()), tokens, "{body}");
        }
    }
}
