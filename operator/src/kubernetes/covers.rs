//! Whether a live object already says what we would apply.

use serde_json::Value;

/// True if `live` has everything that `desired` asks for.
///
/// Fields that `desired` leaves out may have any value: the API server fills in defaults and other field managers own
/// theirs. Lists must have the same length, so that an entry which somebody added to a Role or a NetworkPolicy is seen; their
/// order does not count where the entries are objects.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, wanted)| match live.get(key) {
            Some(value) => covers(value, wanted),
            None => is_empty(wanted),
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(at_place, wanted)| {
                    covers(at_place, wanted) || (wanted.is_object() && live.iter().any(|value| covers(value, wanted)))
                })
        }
        (Value::String(live), Value::String(desired)) => live == desired || same_quantity(live, desired),
        (live, desired) => live == desired || (is_empty(live) && is_empty(desired)),
    }
}

/// The API server writes quantities in its own way: `0.5` becomes `500m`.
fn same_quantity(a: &str, b: &str) -> bool {
    match (quantity(a), quantity(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
        _ => false,
    }
}

fn quantity(text: &str) -> Option<f64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// The API server drops empty values; they say the same as absent ones.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_fields_of_others_do_not_count_as_drift() {
        let live = json!({"spec": {"replicas": 5, "template": {"a": 1, "added": true}}, "status": {"x": 1}});
        assert!(covers(
            &live,
            &json!({"spec": {"template": {"a": 1}}, "metadata": {}, "list": []})
        ));
    }

    #[test]
    fn a_changed_a_missing_and_an_added_entry_are_drift() {
        let desired = json!({"rules": [{"verbs": ["get"]}]});
        assert!(!covers(&json!({"rules": [{"verbs": ["get", "list"]}]}), &desired));
        assert!(!covers(&json!({}), &desired));
        assert!(!covers(
            &json!({"rules": [{"verbs": ["get"]}, {"verbs": ["*"]}]}),
            &desired
        ));
    }

    #[test]
    fn a_quantity_in_the_words_of_the_api_server_is_the_same_quantity() {
        let live = json!({"cpu": "500m", "memory": "1Gi", "other": "1"});
        assert!(covers(&live, &json!({"cpu": "0.5", "memory": "1024Mi"})));
        assert!(!covers(&live, &json!({"cpu": "0.4"})));
        assert!(!covers(&live, &json!({"other": "one"})));
    }

    #[test]
    fn the_order_of_objects_in_a_list_does_not_count_and_that_of_words_does() {
        let live = json!({"ports": [{"name": "b", "port": 2}, {"name": "a", "port": 1}], "args": ["x", "y"]});
        assert!(covers(
            &live,
            &json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]})
        ));
        assert!(!covers(&live, &json!({"args": ["y", "x"]})));
    }
}
