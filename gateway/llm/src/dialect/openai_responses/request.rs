//! Reads the fields of a request.

use serde_json::value::RawValue;

use super::super::json::{Fields, invalid, text};
use super::{input, tools};
use crate::RequestError;
use crate::conversation::{Effort, Extra, Format, JsonSchema, Named, Reasoning, Request, Sampling};

/// What to include that has a meaning without OpenAI's own tools. The others add details of calls of those tools, which
/// are extras themselves, so there is never anything to add.
const INCLUDE_REASONING: &str = "reasoning.encrypted_content";
const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";
const INCLUDE_OF_TOOLS: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
];

pub(super) fn read(body: &[u8]) -> Result<Request, RequestError> {
    let mut top = Fields::of_body(body)?;
    let mut extras = Vec::new();
    let model = top
        .string("model")?
        .filter(|model| !model.is_empty())
        .ok_or(RequestError::Missing { field: "model" })?;
    let instructions = top.string("instructions")?.filter(|text| !text.is_empty());
    let messages = match top.take("input")? {
        Some(raw) => input::read(instructions, raw, &mut extras)?,
        None if refers_to_state(&mut top, &mut extras)? => Vec::new(),
        None => return Err(RequestError::Missing { field: "input" }),
    };
    let mut request = Request {
        model,
        messages,
        max_tokens: named("max_output_tokens", top.count("max_output_tokens")?),
        parallel_tool_calls: named("parallel_tool_calls", top.boolean("parallel_tool_calls")?),
        stream: top.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        ..Request::default()
    };
    if let Some(list) = top.list("tools")? {
        request.tools = tools::read(&list, &mut extras)?;
    }
    if let Some(raw) = top.take("tool_choice")? {
        request.tool_choice = tools::choice(raw, &mut extras)?;
    }
    request.sampling = sampling(&mut top, &mut extras)?;
    text_settings(&mut top, &mut request, &mut extras)?;
    reasoning(&mut top, &mut request, &mut extras)?;
    user(&mut top, &mut request, &mut extras)?;
    echoed(&mut top, &mut request)?;
    remains(top, &mut extras)?;
    request.extras = extras;
    Ok(request)
}

fn named<T>(field: &'static str, value: Option<T>) -> Option<Named<T>> {
    value.map(|value| Named::new(field, value))
}

/// Takes over what stands for the input where there is none.
fn refers_to_state(top: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<bool, RequestError> {
    let before = extras.len();
    for field in ["prompt", "previous_response_id", "conversation"] {
        extra(top, field, extras)?;
    }
    Ok(extras.len() > before)
}

fn extra(fields: &mut Fields<'_>, field: &str, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    if let Some(raw) = fields.take(field)? {
        extras.push(Extra {
            field: fields.place(field).into(),
            value: raw.to_owned(),
        });
    }
    Ok(())
}

fn sampling(top: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Sampling, RequestError> {
    let mut sampling = Sampling {
        temperature: named("temperature", top.number("temperature")?),
        top_p: named("top_p", top.number("top_p")?),
        ..Sampling::default()
    };
    for (index, raw) in top.list("include")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("include[{index}]");
        let Some(what) = text(raw) else {
            return Err(invalid(at, "a string"));
        };
        match what.as_str() {
            INCLUDE_LOGPROBS => sampling.logprobs = Some(Named::new("include", true)),
            // Always included where the provider gives a proof.
            INCLUDE_REASONING => {}
            _ if INCLUDE_OF_TOOLS.contains(&what.as_str()) => {}
            _ => extras.push(Extra {
                field: at.into(),
                value: raw.to_owned(),
            }),
        }
    }
    // None of the alternatives is what one gets without asking.
    if let Some(count) = top.count("top_logprobs")?.filter(|count| *count > 0) {
        sampling.top_logprobs = Some(Named::new("top_logprobs", count));
        sampling.logprobs = sampling.logprobs.or(Some(Named::new("top_logprobs", true)));
    }
    Ok(sampling)
}

fn text_settings(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    let Some(mut settings) = top.object("text")? else {
        return Ok(());
    };
    if let Some(mut format) = settings.object("format")? {
        let kind = format.required_string("type")?;
        let value = match kind.as_str() {
            "text" => Format::Text,
            "json_object" => Format::JsonObject,
            "json_schema" => Format::JsonSchema(JsonSchema {
                name: format.string("name")?,
                description: format.string("description")?,
                schema: format.require("schema")?.to_owned(),
                strict: format.boolean("strict")?,
            }),
            _ => return Err(format.wrong("type", "text, json_object or json_schema")),
        };
        format.rest(extras);
        request.format = Some(Named::new("text.format", value));
    }
    settings.discard(|key, json| (key, json) == ("verbosity", r#""medium""#));
    settings.rest(extras);
    Ok(())
}

fn reasoning(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    let Some(mut settings) = top.object("reasoning")? else {
        return Ok(());
    };
    if let Some(effort) = settings.string("effort")? {
        let value = match effort.as_str() {
            "none" => Reasoning::Off,
            "minimal" => Reasoning::Effort(Effort::Minimal),
            "low" => Reasoning::Effort(Effort::Low),
            "medium" => Reasoning::Effort(Effort::Medium),
            "high" => Reasoning::Effort(Effort::High),
            "xhigh" => Reasoning::Effort(Effort::ExtraHigh),
            "max" => Reasoning::Effort(Effort::Max),
            _ => {
                let problem = "none, minimal, low, medium, high, xhigh or max";
                return Err(settings.wrong("effort", problem));
            }
        };
        request.reasoning = Some(Named::new("reasoning.effort", value));
    }
    // How long a summary is to be; what the provider shows of its thoughts is given as the summary in any case.
    let older = settings.take("generate_summary")?;
    if let Some(summary) = settings.take("summary")?.or(older) {
        request.echo.push(Extra {
            field: "reasoning.summary".into(),
            value: summary.to_owned(),
        });
    }
    settings.discard(|key, json| matches!((key, json), ("context", r#""auto""#) | ("mode", r#""standard""#)));
    settings.rest(extras);
    Ok(())
}

/// The user: `safety_identifier` replaces `user`, says OpenAI. Of two that differ, both must have a place.
fn user(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    let newer = top.take("safety_identifier")?;
    let older = top.take("user")?;
    let (field, raw) = match (newer, older) {
        (Some(newer), _) => ("safety_identifier", newer),
        (None, Some(older)) => ("user", older),
        (None, None) => return Ok(()),
    };
    let Some(name) = text(raw) else {
        return Err(invalid(field, "a string"));
    };
    if let (Some(_), Some(older)) = (newer, older)
        && text(older).as_deref() != Some(name.as_str())
    {
        extras.push(Extra {
            field: "user".into(),
            value: older.to_owned(),
        });
    }
    request.user = Some(Named::new(field, name));
    Ok(())
}

/// Labels that the response shows again and that are stored with it elsewhere, and hints about caching, which change
/// no answer.
fn echoed(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    for field in ["metadata", "prompt_cache_key"] {
        extra(top, field, &mut request.echo)?;
    }
    Ok(())
}

/// Drops fields that ask for nothing, and keeps the rest as extras.
fn remains(mut top: Fields<'_>, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    if let Some(mut options) = top.object("stream_options")? {
        // Nothing is obfuscated here, so only who insists on it is told.
        options.discard(|key, json| (key, json) == ("include_obfuscation", "false"));
        options.rest(extras);
    }
    // The API stores by default, and so do those who leave the field out: the SDKs send none of their own, and their
    // users rarely mean to come back for the response. Who writes `true` does mean it, and would not find it.
    top.discard(|key, json| {
        matches!(
            (key, json),
            ("store" | "background", "false")
                | ("truncation", r#""disabled""#)
                | ("service_tier", r#""auto""# | r#""default""#)
        )
    });
    top.rest(extras);
    Ok(())
}

/// What a field holds that is kept as it was written.
pub(super) fn kept<'a>(list: &'a [Extra], field: &str) -> Option<&'a RawValue> {
    list.iter().find(|kept| &*kept.field == field).map(|kept| &*kept.value)
}
