//! Reads requests for content, as strictly as Google does: every unknown field is refused.

use serde_json::Value;
use tokenweir_llm::tokens::estimate;

use super::super::count::{DOCUMENT, IMAGE, PER_MESSAGE, PER_PROMPT, json};
use super::super::fields::{Fields, Item, Mistake};
use super::super::is_base64;
use super::schema;
use crate::answer::{Directives, signature};
use crate::ask::{Ask, Format, Thinking, Tool, ToolChoice};
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &["safetySettings", "cachedContent", "labels"];

/// Reads a body. The model is the one of the path.
pub(in super::super) fn read(mut fields: Fields<'_>, model: String, stream: bool) -> Result<Ask, Mistake> {
    let mut ask = Ask::of(model);
    ask.stream = stream;
    ask.include_usage = true;
    // Newer models think unless they are told not to; a directive stands for that.
    ask.thinking = Thinking::IfTold;
    fields.ignore(&["model"]);
    let contents = fields
        .item("contents")
        .ok_or_else(|| Mistake::new("contents", "contents is not specified"))?;
    ask.hash = hash(0, contents.raw.get().as_bytes());
    if let Some(system) = fields.item("systemInstruction") {
        ask.hash = hash(ask.hash, system.raw.get().as_bytes());
        let mut content = system.fields()?;
        content.ignore(&["role"]);
        let mut said = Said::default();
        for part in content.list("parts")? {
            said.part(&part, true, false)?;
        }
        refuse_unknown(content)?;
        ask.prompt.add(system.raw.get().as_bytes(), said.tokens);
    }
    tools(&mut fields, &mut ask)?;
    if let Some(config) = fields.object("generationConfig")? {
        generation(config, &mut ask)?;
    }
    let last = turns(&contents, &mut ask)?;
    ask.prompt.tokens += PER_PROMPT;
    ask.directives = Directives::parse(&last).map_err(|error| contents.mistake(error.to_string()))?;
    fields.ignore(WITHOUT_EFFECT);
    refuse_unknown(fields)?;
    Ok(ask)
}

/// What Google says about a field that it does not have.
pub(super) fn refuse_unknown(fields: Fields<'_>) -> Result<(), Mistake> {
    fields.finish().map_err(|mistake| {
        let (at, name) = mistake.at.rsplit_once('.').unwrap_or(("", &mistake.at));
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" at '{at}'")
        };
        let why = format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.");
        Mistake::new(mistake.at.clone(), why)
    })
}

fn turns(contents: &Item<'_>, ask: &mut Ask) -> Result<String, Mistake> {
    let turns_given = contents.list()?;
    if turns_given.is_empty() {
        return Err(contents.mistake("contents is not specified"));
    }
    let mut last = String::new();
    // The names of the calls of the turn before.
    let mut calls: Vec<String> = Vec::new();
    for item in &turns_given {
        let mut content = item.fields()?;
        let role: Option<String> = content.optional("role")?;
        let is_user = match role.as_deref() {
            None | Some("user" | "function") => true,
            Some("model") => false,
            Some(_) => {
                return Err(Mistake::new(
                    content.place("role"),
                    "Please use a valid role: user, model.",
                ));
            }
        };
        let parts = content.list("parts")?;
        if parts.is_empty() {
            let why = "Unable to submit request because it must have at least one part.";
            return Err(Mistake::new(content.place("parts"), why));
        }
        let mut said = Said::default();
        for part in &parts {
            said.part(part, is_user, true)?;
        }
        refuse_unknown(content)?;
        if said.results.len() != calls.len() {
            let why = "Please ensure that the number of function response parts is equal to the number of function call \
                       parts of the function call turn.";
            return Err(item.mistake(why));
        }
        if let Some(stray) = said.results.iter().find(|name| !calls.contains(name)) {
            return Err(item.mistake(format!("no call of the function '{stray}' came before its response")));
        }
        if is_user {
            last = said.text;
        } else if ask.prompt.prefixes.is_empty() && !said.calls.is_empty() {
            let why = "Please ensure that function call turn comes immediately after a user turn or after a function \
                       response turn.";
            return Err(item.mistake(why));
        }
        calls = said.calls;
        ask.prompt.add(item.raw.get().as_bytes(), said.tokens + PER_MESSAGE);
        ask.prompt.boundary();
    }
    if calls.is_empty() {
        return Ok(last);
    }
    Err(contents.mistake("Please ensure that every function call has its function response."))
}

#[derive(Default)]
struct Said {
    text: String,
    tokens: u64,
    calls: Vec<String>,
    results: Vec<String>,
}

/// The fields of which a part has exactly one.
const DATA: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];

impl Said {
    fn part(&mut self, item: &Item<'_>, is_user: bool, any: bool) -> Result<(), Mistake> {
        let mut part = item.fields()?;
        let mut data = DATA
            .iter()
            .filter_map(|name| part.item(name).map(|value| (*name, value)));
        let found = data.next();
        if data.next().is_some() {
            return Err(item.mistake("oneof field 'data' is already set"));
        }
        drop(data);
        let thought: bool = part.optional("thought")?.unwrap_or(false);
        let proof: Option<String> = part.optional("thoughtSignature")?;
        part.ignore(&["videoMetadata", "mediaResolution"]);
        refuse_unknown(part)?;
        let Some((name, value)) = found else {
            return if proof.is_some() {
                Ok(())
            } else {
                Err(item.mistake("required oneof field 'data' must have one initialized field"))
            };
        };
        if !any && name != "text" {
            return Err(item.mistake("system instructions are text"));
        }
        match name {
            "text" => {
                let text: String = value.parse()?;
                if proof.is_some_and(|proof| thought && proof != signature(&text)) {
                    return Err(item.mistake("Thought signature is not valid."));
                }
                self.tokens += if thought { 0 } else { estimate(&text) };
                self.text.push_str(&text);
            }
            "inlineData" => {
                let mut blob = value.fields()?;
                let kind: String = blob.required("mimeType")?;
                let data: String = blob.required("data")?;
                if !is_base64(&data) {
                    return Err(Mistake::new(blob.place("data"), "Base64 decoding failed"));
                }
                blob.ignore(&["displayName"]);
                refuse_unknown(blob)?;
                self.tokens += media(&kind);
            }
            "fileData" => {
                let mut file = value.fields()?;
                file.required::<String>("fileUri")?;
                let kind: Option<String> = file.optional("mimeType")?;
                file.ignore(&["displayName"]);
                refuse_unknown(file)?;
                self.tokens += media(kind.as_deref().unwrap_or_default());
            }
            "functionCall" => {
                if is_user {
                    return Err(item.mistake("function calls belong to the model's turns"));
                }
                let mut call = value.fields()?;
                let name: String = call.required("name")?;
                call.optional::<String>("id")?;
                if let Some(args) = call.item("args") {
                    args.fields()?;
                    self.tokens += json(args.raw);
                    if proof.is_some_and(|proof| !proof_of_call(&proof, &name)) {
                        return Err(item.mistake("Thought signature is not valid."));
                    }
                }
                refuse_unknown(call)?;
                self.tokens += estimate(&name);
                self.calls.push(name);
            }
            "functionResponse" => {
                let mut response = value.fields()?;
                let name: String = response.required("name")?;
                response.optional::<String>("id")?;
                let given = response.item("response").ok_or_else(|| response.missing("response"))?;
                given.fields()?;
                response.ignore(&["parts", "willContinue", "scheduling"]);
                refuse_unknown(response)?;
                self.tokens += json(given.raw);
                self.results.push(name);
            }
            _ => self.tokens += json(value.raw),
        }
        Ok(())
    }
}

/// Whether the proof of a thought behind a call is this simulator's.
fn proof_of_call(proof: &str, name: &str) -> bool {
    proof == signature(name)
}

fn media(kind: &str) -> u64 {
    if kind.starts_with("image/") { IMAGE } else { DOCUMENT }
}

fn tools(fields: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    for item in fields.list("tools")? {
        let mut tool = item.fields()?;
        for item in tool.list("functionDeclarations")? {
            ask.tools.push(declaration(item.fields()?)?);
        }
        tool.ignore(&["googleSearch", "codeExecution", "urlContext"]);
        refuse_unknown(tool)?;
        ask.prompt.add(item.raw.get().as_bytes(), json(item.raw));
    }
    let Some(mut config) = fields.object("toolConfig")? else {
        return Ok(());
    };
    if let Some(mut calling) = config.object("functionCallingConfig")? {
        let mode: Option<String> = calling.optional("mode")?;
        let allowed: Vec<String> = calling.optional("allowedFunctionNames")?.unwrap_or_default();
        let at = calling.place("allowedFunctionNames");
        refuse_unknown(calling)?;
        let mode = mode.as_deref().unwrap_or("AUTO");
        if !allowed.is_empty() && !matches!(mode, "ANY" | "VALIDATED") {
            return Err(Mistake::new(
                at,
                "allowed_function_names should be set only when mode is ANY or VALIDATED.",
            ));
        }
        if let Some(stray) = allowed
            .iter()
            .find(|name| !ask.tools.iter().any(|tool| tool.name == **name))
        {
            return Err(Mistake::new(at, format!("the function '{stray}' is not declared")));
        }
        ask.tool_choice = match (mode, allowed.as_slice()) {
            ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", _) => ToolChoice::Auto,
            ("NONE", _) => ToolChoice::None,
            ("ANY", [only]) => ToolChoice::Function(only.clone()),
            ("ANY", _) => ToolChoice::Required,
            (other, _) => {
                let why = format!("Invalid value at 'tool_config.function_calling_config.mode': \"{other}\"");
                return Err(Mistake::new("toolConfig.functionCallingConfig.mode", why));
            }
        };
        if ask.tools.is_empty() && ask.tool_choice == ToolChoice::Required {
            let why = "Function calling config is set without function_declarations.";
            return Err(Mistake::new("toolConfig", why));
        }
    }
    config.ignore(&["retrievalConfig"]);
    refuse_unknown(config)
}

fn declaration(mut fields: Fields<'_>) -> Result<Tool, Mistake> {
    let name: String = fields.required("name")?;
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if !begins || !letters.all(fits) || name.len() > 64 {
        let why = "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), \
                   underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.";
        return Err(Mistake::new(fields.place("name"), why));
    }
    fields.optional::<String>("description")?;
    let mut schema = serde_json::json!({"type": "object"});
    let plain = fields.item("parameters");
    let json = fields.item("parametersJsonSchema");
    match (plain, json) {
        (Some(_), Some(json)) => {
            return Err(json.mistake("parameters and parameters_json_schema must not both be set"));
        }
        (Some(plain), None) => {
            schema::check(&plain)?;
            schema = plain.parse()?;
        }
        (None, Some(json)) => schema = json.parse()?,
        (None, None) => {}
    }
    fields.ignore(&["response", "responseJsonSchema", "behavior"]);
    refuse_unknown(fields)?;
    Ok(Tool { name, schema })
}

fn generation(mut config: Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    ask.max_tokens = config.optional("maxOutputTokens")?;
    if ask.max_tokens == Some(0) {
        return Err(Mistake::new(
            "generationConfig.maxOutputTokens",
            "max_output_tokens must be positive.",
        ));
    }
    ask.choices = config.optional("candidateCount")?.unwrap_or(1);
    if !(1..=8).contains(&ask.choices) {
        return Err(Mistake::new(
            "generationConfig.candidateCount",
            "candidate_count must be from 1 to 8",
        ));
    }
    for (name, least, most) in [
        ("temperature", 0.0, 2.0),
        ("topP", 0.0, 1.0),
        ("presencePenalty", -2.0, 2.0),
        ("frequencyPenalty", -2.0, 2.0),
    ] {
        let value: Option<f64> = config.optional(name)?;
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err(Mistake::new(
                config.place(name),
                format!("must be in the range [{least}, {most}]"),
            ));
        }
    }
    config.optional::<u64>("topK")?;
    if let Some(seed) = config.item("seed") {
        seed.parse::<i32>()?;
        ask.hash = hash(ask.hash, seed.raw.get().as_bytes());
    }
    config.optional::<bool>("responseLogprobs")?;
    config.optional::<u64>("logprobs")?;
    ask.stops = config.optional("stopSequences")?.unwrap_or_default();
    if ask.stops.len() > 5 {
        return Err(Mistake::new(
            "generationConfig.stopSequences",
            "at most 5 stop sequences are allowed",
        ));
    }
    if let Some(mut thinking) = config.object("thinkingConfig")? {
        let budget: Option<i64> = thinking.optional("thinkingBudget")?;
        let level: Option<String> = thinking.optional("thinkingLevel")?;
        thinking.optional::<bool>("includeThoughts")?;
        if budget.is_some() && level.is_some() {
            return Err(Mistake::new(
                thinking.at,
                "You can only set only one of thinking budget and thinking level.",
            ));
        }
        refuse_unknown(thinking)?;
        ask.thinking = match budget {
            Some(0) => Thinking::Never,
            // -1 leaves it to the model.
            Some(budget) => Thinking::UpTo(u64::try_from(budget).unwrap_or(u64::MAX)),
            None => Thinking::UpTo(u64::MAX),
        };
    }
    format(&mut config, ask)?;
    config.ignore(&[
        "responseModalities",
        "speechConfig",
        "mediaResolution",
        "audioTimestamp",
    ]);
    refuse_unknown(config)
}

fn format(config: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let kind: Option<String> = config.optional("responseMimeType")?;
    let plain = config.item("responseSchema");
    let json = config.item("responseJsonSchema");
    if let Some(plain) = &plain {
        schema::check(plain)?;
    }
    let schema: Option<Value> = plain.or(json).map(|schema| schema.parse()).transpose()?;
    match (kind.as_deref(), schema) {
        (Some("application/json"), Some(schema)) => ask.format = Format::Schema(schema),
        (Some("application/json"), None) => ask.format = Format::Object,
        (None | Some("text/plain" | "text/x.enum"), None) => {}
        (_, Some(_)) => {
            let why = "response_schema is only supported with response_mime_type application/json";
            return Err(Mistake::new(config.place("responseMimeType"), why));
        }
        (Some(other), None) => {
            let why = format!("the MIME type {other} is not supported for response_mime_type");
            return Err(Mistake::new(config.place("responseMimeType"), why));
        }
    }
    Ok(())
}
