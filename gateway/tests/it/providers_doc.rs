//! The table of `docs/providers.md` is what the code does.

use std::fmt::Write as _;
use std::path::Path;

use tokenweir_config::ProviderKind;
use tokenweir_gateway::plan::Passage;
use tokenweir_llm::Operation;
use tokenweir_llm::dialect::Wire;

const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- end of the table -->\n";

fn words(passage: Passage) -> &'static str {
    match passage {
        Passage::Passed => "as it is",
        Passage::Translated(_, Wire::ChatCompletions) => "to Chat Completions",
        Passage::Translated(_, Wire::Messages) => "to Messages",
        Passage::Translated(_, Wire::Converse) => "to Converse",
        Passage::Translated(_, Wire::Gemini) => "to `generateContent`",
        Passage::Embedded => "translated",
        Passage::Counted => "counted here",
        Passage::Missing => "400",
    }
}

fn table() -> String {
    let mut text = "| `spec.type` |".to_owned();
    for operation in Operation::ALL {
        write!(text, " `/v1{}` |", operation.path()).unwrap();
    }
    text.push_str("\n|");
    text.push_str(&" --- |".repeat(Operation::ALL.len() + 1));
    for kind in ProviderKind::ALL {
        write!(text, "\n| `{kind:?}` |").unwrap();
        for operation in Operation::ALL {
            write!(text, " {} |", words(Passage::of(kind, operation))).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_table_of_providers_in_the_docs_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the table begins");
    let (found, after) = rest.split_once(END).expect("the table ends");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        found, table,
        "run: UPDATE_DOCS=1 cargo test -p tokenweir-gateway --test it providers_doc"
    );
}
