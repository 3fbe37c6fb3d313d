//! Tokens of the functions that a model may call.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokenweir_llm::conversation::Tool;

use crate::chat::Functions;
use crate::count::Tally;

/// Parameters as far as the cookbook says what they have.
#[derive(Default, Deserialize)]
struct Parameters<'a> {
    #[serde(default, borrow)]
    properties: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    r#type: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "enum")]
    values: Option<Vec<String>>,
}

/// Adds the functions of a request.
pub(crate) fn add(tally: &mut Tally, tools: &[Tool], overhead: Functions) {
    if tools.is_empty() {
        return;
    }
    tally.add(overhead.all);
    for tool in tools {
        tally.add(overhead.function);
        let description = tool.description.as_deref().unwrap_or_default();
        if description.is_empty() {
            tally.estimated();
        }
        tally.text(&format!("{}:{}", tool.name, without_stop(description)));
        if let Some(schema) = &tool.parameters {
            add_parameters(tally, schema.get(), overhead);
        }
    }
}

fn add_parameters(tally: &mut Tally, schema: &str, overhead: Functions) {
    let Ok(parameters) = serde_json::from_str::<Parameters<'_>>(schema) else {
        tally.estimated();
        tally.text(schema);
        return;
    };
    if !parameters.properties.is_empty() {
        tally.add(overhead.parameters);
    }
    for (name, property) in &parameters.properties {
        tally.add(overhead.parameter);
        let Ok(parameter) = serde_json::from_str::<Parameter>(property.get()) else {
            // Lists, objects and whatever else the cookbook does not speak of: by their text.
            tally.estimated();
            tally.text(name);
            tally.text(property.get());
            continue;
        };
        if let Some(values) = &parameter.values {
            for value in values {
                tally.add(overhead.value);
                tally.text(value);
            }
            tally.subtract(overhead.value);
        }
        if parameter.description.is_empty() {
            tally.estimated();
        }
        let description = without_stop(&parameter.description);
        tally.text(&format!("{name}:{}:{description}", parameter.r#type));
    }
}

fn without_stop(text: &str) -> &str {
    text.strip_suffix('.').unwrap_or(text)
}
