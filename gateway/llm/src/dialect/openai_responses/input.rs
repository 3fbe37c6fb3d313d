//! Reads the items of the input into turns.
//!
//! The dialect has an item for each thing that happens: a message, a call, a thought, the result of a call. The shared
//! terms have turns: what the model did between two inputs is one of them, and so are the results of its calls, as the
//! providers want parallel calls to stand together.

use serde_json::value::RawValue;

use super::super::json::{Fields, invalid, list, text};
use super::super::media::is_token;
use super::content;
use super::sealed::Sealed;
use crate::RequestError;
use crate::conversation::{Extra, Media, Message, Part, PartKind, Role, Source, ToolCall, ToolResult};

/// Reads the whole conversation.
pub(super) fn read(
    instructions: Option<String>,
    input: &RawValue,
    extras: &mut Vec<Extra>,
) -> Result<Vec<Message>, RequestError> {
    let mut turns = Turns {
        messages: Vec::new(),
        extras,
        results_open: false,
        proof: None,
    };
    if let Some(instructions) = instructions {
        turns.say(
            Role::System,
            vec![Part::text(instructions, "instructions")],
            "instructions",
        );
    }
    if let Some(input) = text(input) {
        turns.say(Role::User, vec![Part::text(input, "input")], "input");
    } else if let Some(items) = list(input) {
        for (index, raw) in items.into_iter().enumerate() {
            turns.item(raw, format!("input[{index}]"))?;
        }
    } else {
        return Err(invalid("input", "a string or an array"));
    }
    Ok(turns.messages)
}

struct Turns<'e> {
    messages: Vec<Message>,
    extras: &'e mut Vec<Extra>,
    /// The last message holds results of tools and may take more.
    results_open: bool,
    /// The proof of the call that comes next.
    proof: Option<String>,
}

impl Turns<'_> {
    fn item(&mut self, raw: &RawValue, at: String) -> Result<(), RequestError> {
        // It belongs to the item right behind it.
        let proof = self.proof.take();
        let mut fields = Fields::of(raw, at.as_str())?;
        // Of messages the type may be left out, and of references, which have an id alone.
        let kind = match fields.string("type")? {
            Some(kind) => kind,
            None => match fields.take("role")? {
                Some(role) => return self.message(fields, Some(role), &at),
                None => "item_reference".to_owned(),
            },
        };
        match kind.as_str() {
            "message" => {
                let role = fields.take("role")?;
                self.message(fields, role, &at)
            }
            "function_call" => self.call(fields, proof, &at),
            "function_call_output" => self.result(fields, &at),
            "reasoning" => self.reasoning(fields, &at),
            "image_generation_call" => self.image(raw, fields, &at),
            _ => {
                self.extra(at, raw);
                Ok(())
            }
        }
    }

    fn extra(&mut self, at: impl Into<Box<str>>, raw: &RawValue) {
        self.extras.push(Extra {
            field: at.into(),
            value: raw.to_owned(),
        });
    }

    fn say(&mut self, role: Role, parts: Vec<Part>, at: &str) {
        self.results_open = false;
        self.messages.push(Message {
            role,
            parts,
            name: None,
            at: at.into(),
        });
    }

    /// Adds to the model's turn, which begins here unless it is going on.
    fn model(&mut self, parts: impl IntoIterator<Item = Part>, at: &str) {
        match self.messages.last_mut() {
            Some(turn) if turn.role == Role::Assistant => turn.parts.extend(parts),
            _ => self.say(Role::Assistant, parts.into_iter().collect(), at),
        }
    }

    fn message(&mut self, mut fields: Fields<'_>, role: Option<&RawValue>, at: &str) -> Result<(), RequestError> {
        let role = match role.and_then(text).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some("developer") => Role::Developer,
            _ => return Err(fields.wrong("role", "user, assistant, system or developer")),
        };
        let parts = content::read(fields.require("content")?, &fields.place("content"), self.extras)?;
        forget_bookkeeping(&mut fields)?;
        // Tells OpenAI's newest models which of their own messages was an answer; no other model knows the mark.
        fields.take("phase")?;
        fields.rest(self.extras);
        if role == Role::Assistant {
            self.model(parts, at);
        } else {
            self.say(role, parts, at);
        }
        Ok(())
    }

    fn call(&mut self, mut fields: Fields<'_>, signature: Option<String>, at: &str) -> Result<(), RequestError> {
        let call = ToolCall {
            id: fields.required_string("call_id")?,
            name: fields.required_string("name")?,
            arguments: fields.required_string("arguments")?,
            signature,
        };
        forget_bookkeeping(&mut fields)?;
        self.run_by(&mut fields)?;
        fields.rest(self.extras);
        self.model([Part::new(PartKind::ToolCall(call), at)], at);
        Ok(())
    }

    fn result(&mut self, mut fields: Fields<'_>, at: &str) -> Result<(), RequestError> {
        let result = ToolResult {
            id: fields.required_string("call_id")?,
            parts: content::read(fields.require("output")?, &fields.place("output"), self.extras)?,
            is_error: None,
        };
        forget_bookkeeping(&mut fields)?;
        // Both repeat what the call says.
        fields.take("name")?;
        fields.take("namespace")?;
        self.run_by(&mut fields)?;
        fields.rest(self.extras);
        let part = Part::new(PartKind::ToolResult(result), at);
        match self.messages.last_mut() {
            Some(turn) if self.results_open => turn.parts.push(part),
            _ => {
                self.say(Role::User, vec![part], at);
                self.results_open = true;
            }
        }
        Ok(())
    }

    /// Who ran a call: the model itself, or a program that OpenAI runs for it.
    fn run_by(&mut self, fields: &mut Fields<'_>) -> Result<(), RequestError> {
        if let Some(raw) = fields.take("caller")?
            && Fields::of(raw, fields.place("caller"))?.required_string("type")? != "direct"
        {
            self.extra(fields.place("caller"), raw);
        }
        fields.discard(|key, json| (key, json) == ("async", "false"));
        Ok(())
    }

    /// A thought. What OpenAI has encrypted, or stored under the item's id, no other provider can read.
    fn reasoning(&mut self, mut fields: Fields<'_>, at: &str) -> Result<(), RequestError> {
        let summary = texts(&mut fields, "summary")?;
        let in_clear = texts(&mut fields, "content")?;
        let thought = if in_clear.is_empty() { summary } else { in_clear };
        let content = fields.string("encrypted_content")?.unwrap_or_default();
        forget_bookkeeping(&mut fields)?;
        fields.rest(self.extras);
        let signature = match Sealed::open(&content) {
            Some(Sealed::Call(proof)) => {
                self.proof = Some(proof.to_owned());
                None
            }
            Some(Sealed::Redacted(data)) => {
                let data = data.to_owned();
                self.model([Part::new(PartKind::RedactedThinking { data }, at)], at);
                None
            }
            Some(Sealed::Thought(proof)) => Some(proof.to_owned()),
            None => None,
        };
        if signature.is_some() || !thought.is_empty() {
            let text = thought.join("\n\n");
            self.model([Part::new(PartKind::Thinking { text, signature }, at)], at);
        }
        Ok(())
    }

    /// An image that a model made in an earlier answer.
    fn image(&mut self, raw: &RawValue, mut fields: Fields<'_>, at: &str) -> Result<(), RequestError> {
        let Some(base64) = fields.string("result")?.filter(|result| !result.is_empty()) else {
            self.extra(at, raw);
            return Ok(());
        };
        let format = fields.string("output_format")?.unwrap_or_else(|| "png".to_owned());
        if !is_token(&format) {
            return Err(fields.wrong("output_format", "a format such as png"));
        }
        forget_bookkeeping(&mut fields)?;
        fields.rest(self.extras);
        let source = Source::Inline(Media {
            media_type: format!("image/{format}"),
            base64,
        });
        self.model([Part::new(PartKind::Image { source, detail: None }, at)], at);
        Ok(())
    }
}

/// Takes what only says how an item came to be, and means nothing without stored state.
fn forget_bookkeeping(fields: &mut Fields<'_>) -> Result<(), RequestError> {
    fields.take("id")?;
    fields.take("status")?;
    Ok(())
}

/// The texts of a list of parts of one kind.
fn texts(fields: &mut Fields<'_>, key: &str) -> Result<Vec<String>, RequestError> {
    let at = fields.place(key);
    let list = fields.list(key)?.unwrap_or_default();
    let texts = list.into_iter().enumerate().map(|(index, raw)| {
        let mut part = Fields::of(raw, format!("{at}[{index}]"))?;
        part.required_string("text")
    });
    texts
        .filter(|text| !matches!(text, Ok(text) if text.is_empty()))
        .collect()
}
