//! Reads requests for text completions.

use super::super::count::texts;
use super::super::fields::{Fields, Mistake};
use super::limits;
use crate::answer::Directives;
use crate::ask::Ask;
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &["best_of", "echo", "logit_bias", "logprobs", "suffix", "user"];

/// Reads a body. `model` is the one of the path, where the path names it.
pub(in super::super) fn read(mut fields: Fields<'_>, model: Option<String>, strict: bool) -> Result<Ask, Mistake> {
    let named = fields.optional::<String>("model")?;
    let model = model.or(named).ok_or_else(|| fields.missing("model"))?;
    let mut ask = Ask::of(model);
    let prompt = fields.item("prompt").ok_or_else(|| fields.missing("prompt"))?;
    ask.hash = hash(0, prompt.raw.get().as_bytes());
    if let Some(seed) = fields.item("seed") {
        seed.parse::<i64>()?;
        ask.hash = hash(ask.hash, seed.raw.get().as_bytes());
    }
    limits::common(&mut fields, &mut ask)?;
    if !prompt.raw.get().starts_with(['"', '[']) {
        return Err(prompt.mistake("expected a string, or an array of strings or tokens"));
    }
    ask.prompt.add(prompt.raw.get().as_bytes(), texts(prompt.raw));
    let text = prompt.text().unwrap_or_default();
    ask.directives = Directives::parse(&text).map_err(|error| prompt.mistake(error.to_string()))?;
    fields.ignore(WITHOUT_EFFECT);
    limits::finish(fields, strict)?;
    Ok(ask)
}
