//! How tokens are drawn, how much the model thinks, and the form of the answer.

use super::extra;
use crate::RequestError;
use crate::conversation::{Effort, Extra, Format, JsonSchema, Named, Reasoning, Request, Sampling};
use crate::dialect::anthropic::DISPLAY;
use crate::dialect::json::Fields;

/// Takes what says how tokens are drawn.
pub(super) fn sampling(top: &mut Fields<'_>) -> Result<Sampling, RequestError> {
    Ok(Sampling {
        temperature: top.number("temperature")?.map(|value| Named::new("temperature", value)),
        top_p: top.number("top_p")?.map(|value| Named::new("top_p", value)),
        top_k: top.count("top_k")?.map(|value| Named::new("top_k", value)),
        ..Sampling::default()
    })
}

/// Takes what says how much the model thinks, and the form of the answer.
///
/// The dialect has two knobs for thinking. An effort beside adaptive thinking, or alone, is a degree. Beside a budget
/// or beside thinking that is off it only says how long the answer is to be, and is an extra.
pub(super) fn output(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    request.reasoning = thinking(top, request, extras)?;
    // What was `output_config.format` before it had that place.
    if let Some(fields) = top.object("output_format")? {
        request.format = Some(Named::new("output_format", json_schema(fields, extras)?));
    }
    let Some(mut config) = top.object("output_config")? else {
        return Ok(());
    };
    if let Some(raw) = config.take("effort")? {
        let effort = match raw.get() {
            r#""low""# => Effort::Low,
            r#""medium""# => Effort::Medium,
            r#""high""# => Effort::High,
            r#""xhigh""# => Effort::ExtraHigh,
            r#""max""# => Effort::Max,
            _ => return Err(config.wrong("effort", "'low', 'medium', 'high', 'xhigh' or 'max'")),
        };
        match request.reasoning.map(|reasoning| reasoning.value) {
            None | Some(Reasoning::Adaptive) => {
                request.reasoning = Some(Named::new("output_config.effort", Reasoning::Effort(effort)));
            }
            Some(_) => extras.push(extra(config.place("effort"), raw)),
        }
    }
    if let Some(fields) = config.object("format")? {
        request.format = Some(Named::new("output_config.format", json_schema(fields, extras)?));
    }
    config.rest(extras);
    Ok(())
}

fn thinking(
    top: &mut Fields<'_>,
    request: &mut Request,
    extras: &mut Vec<Extra>,
) -> Result<Option<Named<Reasoning>>, RequestError> {
    let Some(mut fields) = top.object("thinking")? else {
        return Ok(None);
    };
    let reasoning = match fields.required_string("type")?.as_str() {
        "enabled" => match fields.count("budget_tokens")? {
            Some(budget) => Named::new("thinking.budget_tokens", Reasoning::Budget(budget)),
            None => return Err(fields.wrong("budget_tokens", "a value, as it is required")),
        },
        "adaptive" => Named::new("thinking", Reasoning::Adaptive),
        // Notes between calls are no thinking first.
        "disabled" | "between_tools" => Named::new("thinking", Reasoning::Off),
        _ => {
            return Err(fields.wrong("type", "'adaptive', 'enabled', 'disabled' or 'between_tools'"));
        }
    };
    match fields.take("display")? {
        // What providers do that show thoughts at all.
        Some(raw) if raw.get() == r#""summarized""# => {}
        // Done by the writer of the answer.
        Some(raw) if raw.get() == r#""omitted""# => request.echo.push(extra(DISPLAY, raw)),
        Some(raw) => extras.push(extra(DISPLAY, raw)),
        None => {}
    }
    fields.rest(extras);
    Ok(Some(reasoning))
}

fn json_schema(mut fields: Fields<'_>, extras: &mut Vec<Extra>) -> Result<Format, RequestError> {
    if fields.required_string("type")? != "json_schema" {
        return Err(fields.wrong("type", "'json_schema'"));
    }
    let schema = fields.require("schema")?;
    if !schema.get().starts_with('{') {
        return Err(fields.wrong("schema", "an object"));
    }
    fields.rest(extras);
    Ok(Format::JsonSchema(JsonSchema {
        name: None,
        description: None,
        schema: schema.to_owned(),
        // The dialect knows no schema that is only a hint.
        strict: Some(true),
    }))
}
