//! `metav1.Status`: how an API server says that something went wrong.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP code.
    pub code: u16,
    /// One of Kubernetes' reasons.
    pub reason: &'static str,
    /// A sentence for a person.
    pub message: String,
}

impl Failure {
    /// The form in which clients read it.
    pub fn to_status(&self) -> Status {
        Status {
            code: Some(i32::from(self.code)),
            message: Some(self.message.clone()),
            reason: Some(self.reason.to_owned()),
            status: Some("Failure".into()),
            ..Status::default()
        }
    }
}

fn failure(code: u16, reason: &'static str, message: &str) -> Failure {
    Failure {
        code,
        reason,
        message: message.to_owned(),
    }
}

/// 400: the request does not make sense.
pub fn bad_request(message: &str) -> Failure {
    failure(400, "BadRequest", message)
}

/// 401: the credentials are no good.
pub fn unauthorized() -> Failure {
    failure(401, "Unauthorized", "Unauthorized")
}

/// 403: the caller may not.
pub fn forbidden(message: &str) -> Failure {
    failure(403, "Forbidden", message)
}

/// 404: there is no such thing.
pub fn not_found(message: &str) -> Failure {
    failure(404, "NotFound", message)
}

/// 405: the thing is there, the verb is not.
pub fn method_not_allowed(method: &str) -> Failure {
    failure(
        405,
        "MethodNotAllowed",
        &format!("{method} is not supported: metrics are read with GET"),
    )
}

/// 406: no form that the caller accepts.
pub fn not_acceptable(known: &[&str]) -> Failure {
    let known = known.join(", ");
    failure(
        406,
        "NotAcceptable",
        &format!("only the following media types are accepted: {known}"),
    )
}

/// 500: a fault of this program.
pub fn internal(message: &str) -> Failure {
    failure(500, "InternalError", message)
}

/// 503: not now. Carries no advice when to try again, or clients would wait for it by themselves.
pub fn unavailable(message: &str) -> Failure {
    failure(503, "ServiceUnavailable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_shape_that_clients_parse() {
        let text = serde_json::to_value(unavailable("no values younger than 5s from edge-1").to_status()).unwrap();
        let expected = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 503,
            "reason": "ServiceUnavailable", "message": "no values younger than 5s from edge-1",
        });
        assert_eq!(text, expected);
    }
}
