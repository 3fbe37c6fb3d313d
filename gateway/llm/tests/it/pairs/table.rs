//! The table of what has a place where, in `docs/dialects.md`: made from what the code does.

use std::fmt::Write as _;
use std::path::Path;

use tokenweir_llm::dialect::{ChatFlavor, Client, Target, Wire};
use tokenweir_llm::translate::{Translation, read_request};

use super::probes::{CHAT, COMPLETIONS, MESSAGES, Probe, RESPONSES};
use super::{CLIENTS, model};

const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- /table -->";

/// Who is asked, by the name of the column.
const PROVIDERS: [(&str, Wire, ChatFlavor); 5] = [
    ("OpenAI, Azure", Wire::ChatCompletions, ChatFlavor::OpenAi),
    ("compatible", Wire::ChatCompletions, ChatFlavor::Compatible),
    ("Anthropic", Wire::Messages, ChatFlavor::OpenAi),
    ("Bedrock (Claude)", Wire::Converse, ChatFlavor::OpenAi),
    ("Gemini", Wire::Gemini, ChatFlavor::OpenAi),
];

const fn of_client(client: Client) -> (&'static str, &'static [Probe]) {
    match client {
        Client::ChatCompletions => ("Chat Completions", CHAT),
        Client::Completions => ("Completions", COMPLETIONS),
        Client::Responses => ("Responses", RESPONSES),
        Client::Messages => ("Anthropic Messages", MESSAGES),
    }
}

/// What one provider does with a probe.
fn cell(client: Client, body: &str, (_, wire, chat): (&str, Wire, ChatFlavor)) -> String {
    // OpenAI and Azure speak all of OpenAI's dialects, and the servers that are compatible all but Responses; so there is
    // nothing to translate.
    let spoken = match client {
        Client::Completions => wire == Wire::ChatCompletions,
        Client::Responses => wire == Wire::ChatCompletions && chat == ChatFlavor::OpenAi,
        Client::ChatCompletions | Client::Messages => false,
    };
    let Some(translation) = Translation::new(client, wire).filter(|_| !spoken) else {
        return "as it is".to_owned();
    };
    let request = read_request(client, body.as_bytes()).unwrap();
    let target = Target {
        model: model(wire),
        max_tokens: Some(8192),
        chat,
    };
    match translation.request(&request, &target, false) {
        Ok(_) => "yes".to_owned(),
        Err(unsupported) => format!("`{}`", unsupported.fields.join("`, `")),
    }
}

fn table() -> String {
    let mut text = String::new();
    for client in CLIENTS {
        let (name, probes) = of_client(client);
        let columns: Vec<&str> = PROVIDERS.iter().map(|(name, ..)| *name).collect();
        writeln!(text, "### Clients of {name}\n").unwrap();
        writeln!(text, "| | {} |", columns.join(" | ")).unwrap();
        writeln!(text, "| --- |{}", " --- |".repeat(columns.len())).unwrap();
        for probe in probes {
            let body = probe.body(client);
            let cells: Vec<String> = PROVIDERS
                .iter()
                .map(|provider| cell(client, &body, *provider))
                .collect();
            writeln!(text, "| {} | {} |", probe.name, cells.join(" | ")).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_in_the_docs_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dialects.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = format!("\n{}", table());
    if shown == made {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    panic!(
        "docs/dialects.md is not what the code does; run: UPDATE_DOCS=1 cargo test -p tokenweir-llm --test it table\n{made}"
    );
}

#[test]
fn every_probe_asks_for_something_of_its_own() {
    for client in CLIENTS {
        let (_, probes) = of_client(client);
        let mut bodies: Vec<String> = probes.iter().map(|probe| probe.body(client)).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), probes.len());
    }
}
