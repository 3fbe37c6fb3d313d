//! Numbers in the canonical form of `resource.Quantity`, as Kubernetes itself would print them.

/// Writes a value with up to six decimals; `None` for what is no quantity (negative, not finite, absurdly large).
///
/// Consumers compare in thousandths and round up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the range was checked before the cast
pub fn quantity(value: f64) -> Option<String> {
    const SUFFIXES: [&str; 9] = ["u", "m", "", "k", "M", "G", "T", "P", "E"];
    // Above 2^63 Kubernetes leaves its fast number form; no count or rate comes near.
    if !(0.0..9.2e18).contains(&value) {
        return None;
    }
    let mut number = (value * 1e6).round() as u128;
    if number == 0 {
        return Some("0".into());
    }
    let mut suffix = 0;
    while number.is_multiple_of(1_000) && suffix + 1 < SUFFIXES.len() {
        number /= 1_000;
        suffix += 1;
    }
    Some(format!("{number}{}", SUFFIXES[suffix]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_kubernetes_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (999.0, "999"),
            (1_000.0, "1k"),
            (1_001.0, "1001"),
            (2_000_000.0, "2M"),
            (12.345, "12345m"),
            (0.5, "500m"),
            (0.1 + 0.2, "300m"),
            (0.000_4, "400u"),
            (0.000_000_1, "0"),
            (-0.0, "0"),
        ] {
            assert_eq!(quantity(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_quantity() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e30] {
            assert_eq!(quantity(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_quantity_reads_back_as_its_value(value in 0.0_f64..1e15) {
            let text = quantity(value).unwrap();
            let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let factor = match &text[split..] {
                "u" => 1e-6, "m" => 1e-3, "" => 1.0, "k" => 1e3, "M" => 1e6, "G" => 1e9, "T" => 1e12, "P" => 1e15,
                other => panic!("{other}"),
            };
            let read: f64 = text[..split].parse::<f64>().unwrap() * factor;
            prop_assert!((read - value).abs() <= 1e-6 + value * 1e-12, "{value} -> {text}");
        }
    }
}
