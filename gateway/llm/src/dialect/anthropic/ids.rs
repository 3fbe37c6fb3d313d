//! Ids of calls: what Anthropic takes as one, and what one carries.
//!
//! Some providers give a proof with each call and want it back (Gemini's thought signatures), for which the dialect has
//! no place. A client gives the id of a call back as it was, though, so the proof travels in it, behind a mark.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

const MARK: &str = "__thought__";

/// Before an id that had characters which Anthropic does not take.
const ESCAPED: &str = "esc_";

/// The id of a call for a client, with its proof.
pub(super) fn with_signature<'a>(id: &'a str, signature: Option<&str>) -> Cow<'a, str> {
    match signature {
        None => Cow::Borrowed(id),
        Some(signature) => Cow::Owned(format!("{id}{MARK}{}", BASE64_URL_SAFE_NO_PAD.encode(signature))),
    }
}

/// The id and the proof that a client gives back.
pub(super) fn split(id: &str) -> (&str, Option<String>) {
    let Some((front, encoded)) = id.rsplit_once(MARK) else {
        return (id, None);
    };
    match BASE64_URL_SAFE_NO_PAD.decode(encoded).map(String::from_utf8) {
        Ok(Ok(signature)) => (front, Some(signature)),
        _ => (id, None),
    }
}

/// An id that Anthropic takes: letters, digits, `_` and `-`. Ids of other providers may hold more, such as
/// `functions.get_weather:0`. Different ids stay different, and the same id stays the same.
pub(in crate::dialect) fn acceptable(id: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !id.is_empty() && !id.starts_with(ESCAPED) && id.bytes().all(|byte| plain(byte) || byte == b'_') {
        return Cow::Borrowed(id);
    }
    let mut escaped = String::from(ESCAPED);
    for byte in id.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "_{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_anthropic_takes_stay_as_they_are() {
        assert_eq!(acceptable("toolu_01A-b"), "toolu_01A-b");
        assert_eq!(acceptable("functions.f:0"), "esc_functions_2ef_3a0");
        assert_eq!(acceptable(""), "esc_");
    }

    proptest! {
        #[test]
        fn different_ids_stay_different(ids in prop::collection::vec("[a_.:é]{0,4}|esc_[a2_e.]{0,4}", 2..40)) {
            let mut seen: HashMap<String, String> = HashMap::new();
            for id in ids {
                let taken = acceptable(&id).into_owned();
                prop_assert!(taken.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
                prop_assert_eq!(seen.entry(taken).or_insert_with(|| id.clone()), &id);
            }
        }

        #[test]
        fn a_proof_comes_back_as_it_went_out(id in ".{0,20}", signature in prop::option::of(".{0,40}")) {
            prop_assume!(!id.contains(MARK));
            let sent = with_signature(&id, signature.as_deref()).into_owned();
            prop_assert_eq!(split(&sent), (id.as_str(), signature));
        }
    }
}
