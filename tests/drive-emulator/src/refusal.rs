//! What Drive answers when it does not do what was asked.

use bytes::Bytes;
use serde_json::{Value, json};

/// An error as Google words it.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// Google's word for it: `userRateLimitExceeded`.
    pub(crate) reason: String,
    /// A sentence for people.
    pub(crate) message: String,
    /// What was wrong: `("parameter", "pageToken")`.
    pub(crate) location: Option<(&'static str, &'static str)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.to_owned(), message: message.into(), location: None }
    }

    pub(crate) fn not_found(id: &str) -> Refusal {
        let message = format!("File not found: {id}.");
        Refusal::new(404, "notFound", message).at("parameter", "fileId")
    }

    pub(crate) fn drive_not_found(id: &str) -> Refusal {
        let message = format!("Shared drive not found: {id}");
        Refusal::new(404, "notFound", message).at("parameter", "driveId")
    }

    pub(crate) fn invalid(parameter: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(400, "invalid", message).at("parameter", parameter)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "badRequest", message)
    }

    pub(crate) fn permission(id: &str) -> Refusal {
        let message = format!("The user does not have sufficient permissions for file {id}.");
        Refusal::new(403, "insufficientFilePermissions", message)
    }

    pub(crate) fn rate() -> Refusal {
        Refusal::new(
            403,
            "userRateLimitExceeded",
            "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota. \
             You may consider re-evaluating expected per-user traffic to the API and adjust \
             project quota limits accordingly. You may monitor aggregate quota usage and adjust \
             limits in the API Console: \
             https://console.developers.google.com/apis/api/drive.googleapis.com/quotas?project=1",
        )
    }

    fn at(mut self, kind: &'static str, location: &'static str) -> Refusal {
        self.location = Some((kind, location));
        self
    }

    /// Adds that the header `Authorization` is to blame.
    pub(crate) fn of_authorization(self) -> Refusal {
        self.at("header", "Authorization")
    }

    /// Returns the body.
    pub(crate) fn body(&self) -> Bytes {
        let domain = match self.reason.as_str() {
            "userRateLimitExceeded"
            | "rateLimitExceeded"
            | "dailyLimitExceeded"
            | "accessNotConfigured" => "usageLimits",
            _ => "global",
        };
        let mut error = json!({"domain": domain, "reason": self.reason, "message": self.message});
        if let Some((kind, location)) = self.location {
            error["locationType"] = kind.into();
            error["location"] = location.into();
        }
        let mut body = json!({"error": {
            "code": self.status, "message": self.message, "errors": [error],
        }});
        if let Some(status) = status(self.status) {
            body["error"]["status"] = Value::from(status);
        }
        Bytes::from(body.to_string())
    }
}

fn status(code: u16) -> Option<&'static str> {
    Some(match code {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        503 => "UNAVAILABLE",
        _ => return None,
    })
}
