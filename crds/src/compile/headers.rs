//! What routes change about headers.

use tokenweir_config::{HeaderChanges, HeaderLine};

use super::Problem;
use crate::api;
use crate::conditions::Reason;
use crate::own_headers::OwnHeaders;

/// The changes in the field `at`, without those that must not be made. The schema refuses these too; an object from before
/// a change of the schema may have them.
pub(super) fn changes(
    given: Option<&api::HeaderChanges>,
    at: &str,
    own: &OwnHeaders,
    problems: &mut Vec<Problem>,
) -> HeaderChanges {
    let mut changes = HeaderChanges::default();
    let Some(given) = given else { return changes };
    let mut named: Vec<String> = Vec::new();
    let mut name = |given: &str, field: String, problems: &mut Vec<Problem>| {
        let name = given.to_ascii_lowercase();
        let why = if own.has(&name) {
            format!("a route cannot change the header {given:?}: the gateway itself decides about it")
        } else if !is_name(&name) {
            format!("{given:?} is not the name of a header")
        } else if named.contains(&name) {
            format!("the header {given:?} stands twice; name it once")
        } else {
            named.push(name.clone());
            return Some(name);
        };
        problems.push(Problem::invalid(Reason::Invalid, field, why));
        None
    };
    for (list, lines, into) in [
        ("set", &given.set, &mut changes.set),
        ("add", &given.add, &mut changes.add),
    ] {
        for (index, line) in lines.iter().enumerate() {
            let field = format!("{at}.{list}[{index}]");
            if !is_value(&line.value) {
                let message = format!("{:?} is not the value of a header", line.value);
                problems.push(Problem::invalid(Reason::Invalid, field + ".value", message));
            } else if let Some(name) = name(&line.name, field + ".name", problems) {
                let value = line.value.clone();
                into.push(HeaderLine { name, value });
            }
        }
        into.sort();
    }
    for (index, given) in given.remove.iter().enumerate() {
        changes
            .remove
            .extend(name(given, format!("{at}.remove[{index}]"), problems));
    }
    changes.remove.sort();
    changes
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_value(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_graphic() || b" \t".contains(&byte);
    !value.is_empty() && value.trim_ascii() == value && value.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_headers::{TO_CLIENTS, TO_PROVIDERS};

    fn compiled(given: &serde_json::Value, own: &OwnHeaders) -> (HeaderChanges, Vec<String>) {
        let given: api::HeaderChanges = serde_json::from_value(given.clone()).unwrap();
        let mut problems = Vec::new();
        let changes = changes(Some(&given), "spec.x", own, &mut problems);
        (changes, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_the_schema_would_refuse_is_left_out_and_named() {
        let given = serde_json::json!({
            "set": [{"name": "X-Good", "value": "1"}, {"name": "Authorization", "value": "Bearer x"}, {"name": "x-a", "value": "a\nb"}],
            "add": [{"name": "x-GOOD", "value": "2"}, {"name": "x b", "value": "b"}],
            "remove": ["X-Goog-Api-Key", "x-gone"],
        });
        let (changes, problems) = compiled(&given, &TO_PROVIDERS);
        let good = HeaderLine {
            name: "x-good".into(),
            value: "1".into(),
        };
        assert_eq!(
            changes,
            HeaderChanges {
                set: vec![good],
                add: vec![],
                remove: vec!["x-gone".into()]
            }
        );
        assert_eq!(
            problems,
            [
                "spec.x.set[1].name: a route cannot change the header \"Authorization\": the gateway itself decides about it",
                "spec.x.set[2].value: \"a\\nb\" is not the value of a header",
                "spec.x.add[0].name: the header \"x-GOOD\" stands twice; name it once",
                "spec.x.add[1].name: \"x b\" is not the name of a header",
                "spec.x.remove[0]: a route cannot change the header \"X-Goog-Api-Key\": the gateway itself decides about it",
            ]
        );
    }

    #[test]
    fn each_direction_has_headers_of_its_own() {
        let given = serde_json::json!({"remove": ["authorization", "content-length", "request-id"]});
        assert_eq!(compiled(&given, &TO_PROVIDERS).0.remove, ["request-id"]);
        assert_eq!(compiled(&given, &TO_CLIENTS).0.remove, ["authorization"]);
    }
}
