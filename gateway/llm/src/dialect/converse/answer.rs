//! Answers in one piece.

use super::wire::{Block, Response};
use super::{Converse, citation};
use crate::conversation::{Answer, Choice, Finish, Part, PartKind, ToolCall};
use crate::dialect::{AnswerError, ProviderWire as _};

pub(super) fn read(body: &[u8]) -> Result<Answer, AnswerError> {
    let response: Response<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let parts: Vec<Part> = response.output.message.content.iter().flat_map(parts).collect();
    let called = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let choice = Choice {
        parts,
        finish: finish(&response.stop_reason, called).map_err(malformed)?,
        logprobs: None,
    };
    Ok(Answer {
        id: String::new(),
        model: String::new(),
        created: None,
        choices: vec![choice],
        usage: response.usage.map(|usage| usage.read()).unwrap_or_default(),
    })
}

fn malformed(why: String) -> AnswerError {
    AnswerError::Malformed {
        wire: Converse::NAME,
        why,
    }
}

fn parts(block: &Block<'_>) -> Vec<Part> {
    let mut kinds = Vec::new();
    if let Some(text) = block.text.as_deref().filter(|text| !text.is_empty()) {
        kinds.push(PartKind::Text {
            text: text.to_owned(),
            citations: Vec::new(),
        });
    }
    if let Some(cited) = &block.citations_content {
        kinds.push(PartKind::Text {
            text: cited.content.iter().filter_map(|piece| piece.text.as_deref()).collect(),
            citations: cited.citations.iter().filter_map(citation::read).collect(),
        });
    }
    if let Some(call) = block.tool_use.as_ref().filter(|call| call.r#type.is_none()) {
        kinds.push(PartKind::ToolCall(ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.input.map_or_else(String::new, |input| input.get().to_owned()),
            signature: None,
        }));
    }
    if let Some(reasoning) = &block.reasoning_content {
        if let Some(thought) = &reasoning.reasoning_text {
            kinds.push(PartKind::Thinking {
                text: thought.text.clone(),
                signature: thought.signature.clone(),
            });
        }
        if let Some(data) = &reasoning.redacted_content {
            kinds.push(PartKind::RedactedThinking { data: data.clone() });
        }
    }
    kinds.into_iter().map(|kind| Part::new(kind, "")).collect()
}

/// Why it ended; an error says what the model did wrong, so that there is no answer.
pub(super) fn finish(reason: &str, called: bool) -> Result<Finish, String> {
    Ok(match reason {
        "tool_use" => Finish::ToolCalls,
        "max_tokens" => Finish::Length,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        "model_context_window_exceeded" => Finish::ContextFull,
        "malformed_model_output" | "malformed_tool_use" => return Err(format!("the model ended with {reason}")),
        // Some models call and say that their turn is over. A call waits for its result, and clients go by the reason.
        _ if called => Finish::ToolCalls,
        "stop_sequence" => Finish::StopSequence(None),
        // `end_turn`, and what is new tells no more than the end.
        _ => Finish::Stop,
    })
}
