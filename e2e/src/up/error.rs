//! A failure of the front door: what failed, why, and what a person can do next.

use crate::harness::HarnessError;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {}\nwhat to do next: {hint}", cause.chain())]
pub struct UpError {
    step: &'static str,
    hint: String,
    // Part of the message; not a source, which would be printed a second time.
    cause: Box<HarnessError>,
}

impl UpError {
    /// Attaches the step and a hint to a failure.
    pub(crate) fn at<E: Into<HarnessError>>(step: &'static str, hint: impl Into<String>) -> impl FnOnce(E) -> Self {
        let hint = hint.into();
        move |cause| Self {
            step,
            hint,
            cause: Box::new(cause.into()),
        }
    }
}

/// The result of a command of the front door.
pub type Result<T, E = UpError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_failed_why_and_what_to_do() {
        let cause = HarnessError::Missing {
            object: "Secret llm/a".to_owned(),
            missing: "field apiKey".to_owned(),
        };
        let text = UpError::at("read the key", "look at `kubectl get tenants -n llm`")(cause).to_string();
        assert_eq!(
            text,
            "cannot read the key: Secret llm/a has no field apiKey\nwhat to do next: look at `kubectl get tenants -n llm`"
        );
    }
}
