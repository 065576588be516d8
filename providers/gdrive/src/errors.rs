//! From Drive's answer to the contract's error. All that is known of its reasons is one table.
//!
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use sitesync_provider::{Error, ErrorKind};

/// How a reason of Drive's is to be understood.
struct Meaning {
    /// The HTTP status; 0 for any.
    status: u16,
    /// Drive's reason; empty for any.
    reason: &'static str,
    /// Drive's message, where one reason means two things; empty for any.
    message: &'static str,
    kind: ErrorKind,
    /// What it means, and what to do. `{account}` is who the service takes us for.
    sentence: &'static str,
    until: Until,
}

/// For how long to leave the service alone, where it does not say so itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Up to the host.
    Unknown,
    /// The allowances of a day begin anew at midnight, Pacific time.
    MidnightPacific,
    /// An allowance of the last 24 hours.
    Day,
    /// For an hour.
    Hour,
}

const fn means(
    status: u16,
    reason: &'static str,
    kind: ErrorKind,
    sentence: &'static str,
) -> Meaning {
    Meaning { status, reason, message: "", kind, sentence, until: Until::Unknown }
}

const TABLE: &[Meaning] = &[
    // Of a day's uploads Google has no reason of its own: only these words tell.
    Meaning {
        status: 403,
        reason: "userRateLimitExceeded",
        message: "User rate limit exceeded.",
        kind: ErrorKind::QuotaExhausted,
        sentence: "{account} has uploaded all that Google allows in 24 hours (750 GB); it is tried again every hour, or \
                   use a service account of its own for some projects",
        // Google says this, in the same words, for some other limits too: a day would be too long.
        until: Until::Hour,
    },
    // Too much at once.
    means(403, "userRateLimitExceeded", ErrorKind::RateLimited, RATE),
    means(403, "rateLimitExceeded", ErrorKind::RateLimited, RATE),
    means(403, "sharingRateLimitExceeded", ErrorKind::RateLimited, RATE),
    means(429, "", ErrorKind::RateLimited, RATE),
    // Allowances.
    Meaning {
        status: 403,
        reason: "dailyLimitExceeded",
        message: "",
        kind: ErrorKind::QuotaExhausted,
        sentence: "the project has used up its requests for today; raise the quota in the Google \
                   Cloud console, or wait until midnight, Pacific time",
        until: Until::MidnightPacific,
    },
    Meaning {
        status: 403,
        reason: "quotaExceeded",
        message: "",
        kind: ErrorKind::QuotaExhausted,
        sentence: "the project has used up its quota; raise it in the Google Cloud console, or \
                   wait until midnight, Pacific time",
        until: Until::MidnightPacific,
    },
    Meaning {
        status: 403,
        reason: "downloadQuotaExceeded",
        message: "",
        kind: ErrorKind::QuotaExhausted,
        sentence: "this file was downloaded as often as Google allows in 24 hours",
        until: Until::Day,
    },
    // Room.
    means(
        403,
        "storageQuotaExceeded",
        ErrorKind::StorageFull,
        "{account} has no room of its own left. Service accounts have little or none: use a shared \
         drive as the root, or set `impersonate` to a user who has room",
    ),
    means(
        403,
        "teamDriveFileLimitExceeded",
        ErrorKind::StorageFull,
        "the shared drive holds as many items as Google allows; delete some for good, or use \
         another shared drive",
    ),
    means(
        403,
        "numChildrenInNonRootLimitExceeded",
        ErrorKind::StorageFull,
        "the folder holds as many items as Google allows (500,000)",
    ),
    means(
        403,
        "teamDriveHierarchyTooDeep",
        ErrorKind::InvalidPath,
        "the path is deeper than Google allows (100 folders)",
    ),
    means(
        403,
        "myDriveHierarchyDepthLimitExceeded",
        ErrorKind::InvalidPath,
        "the path is deeper than Google allows (100 folders)",
    ),
    means(413, "", ErrorKind::TooLarge, "Drive does not take so large a file"),
    means(403, "uploadTooLarge", ErrorKind::TooLarge, "Drive does not take so large a file"),
    // Who we are.
    means(401, "", ErrorKind::Unauthenticated, TOKEN),
    means(
        403,
        "accessNotConfigured",
        ErrorKind::Unauthenticated,
        "the Google Drive API is not enabled in the project of this service account: enable it in \
         the Google Cloud console (APIs & Services), and wait a few minutes",
    ),
    means(
        403,
        "SERVICE_DISABLED",
        ErrorKind::Unauthenticated,
        "the Google Drive API is not enabled in the project of this service account: enable it in \
         the Google Cloud console (APIs & Services), and wait a few minutes",
    ),
    means(
        403,
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        ErrorKind::Unauthenticated,
        "the token does not cover Drive: allow the scope https://www.googleapis.com/auth/drive",
    ),
    means(
        403,
        "insufficientPermissions",
        ErrorKind::Unauthenticated,
        "the token does not cover Drive: allow the scope https://www.googleapis.com/auth/drive",
    ),
    // What we may do.
    means(
        403,
        "domainPolicy",
        ErrorKind::PermissionDenied,
        "the Google Workspace's policy keeps {account} out: ask its administrator",
    ),
    means(
        403,
        "cannotDownloadAbusiveFile",
        ErrorKind::PermissionDenied,
        "Google takes this file for malware, and does not give it out",
    ),
    means(
        403,
        "cannotDownloadFile",
        ErrorKind::PermissionDenied,
        "its owner does not let others download this file",
    ),
    means(403, "", ErrorKind::PermissionDenied, PERMISSION),
    // What is there.
    means(404, "", ErrorKind::NotFound, "nothing is there, or it is not shared with {account}"),
    means(410, "", ErrorKind::NotFound, "it is gone"),
    means(409, "", ErrorKind::AlreadyExists, "an item of this id is there already"),
    means(412, "", ErrorKind::Precondition, "somebody else has changed it"),
    means(416, "", ErrorKind::Interrupted, "the file is shorter than it was"),
    // The service itself.
    means(408, "", ErrorKind::Interrupted, FAILED),
    means(400, "failedPrecondition", ErrorKind::Precondition, "Drive refuses it as things are"),
    means(400, "", ErrorKind::Unexpected, "Drive does not understand the request"),
];

const RATE: &str = "too many requests of {account}, or of its Google Cloud project";
const TOKEN: &str = "Drive does not take the token of {account}: was its key or account removed?";
const PERMISSION: &str = "{account} may not do this: share the folder with it as Editor, or make it \
                          a member of the shared drive (Content manager; to delete for good: \
                          Manager)";
const FAILED: &str = "Drive has failed";

/// The body of an error, as far as it is looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: Details,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    status: String,
    message: String,
    errors: Vec<Reason>,
    details: Vec<Reason>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reason {
    reason: String,
}

/// What Drive says of a refusal.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    message: String,
}

impl Refusal {
    /// What an error's body says; nothing if it is a page for people.
    pub(crate) fn read(body: &[u8]) -> Self {
        let Body { error } = serde_json::from_slice(body).unwrap_or_default();
        let reasons = error.errors.into_iter().chain(error.details).map(|one| one.reason);
        let mut reasons: Vec<String> = reasons.filter(|reason| !reason.is_empty()).collect();
        let known = |reason: &String| TABLE.iter().any(|means| means.reason == *reason);
        let reason = match reasons.iter().position(known) {
            Some(at) => reasons.swap_remove(at),
            None => reasons.into_iter().next().unwrap_or(error.status),
        };
        Refusal { reason, message: error.message }
    }
}

/// The error of an answer that is no success.
pub(crate) fn refusal(
    status: u16,
    said: &Refusal,
    retry_after: Option<Duration>,
    account: &str,
) -> Error {
    let reason = &said.reason;
    let fits = |means: &&Meaning| {
        (means.status == 0 || means.status == status)
            && (means.reason.is_empty() || means.reason == *reason)
            && (means.message.is_empty() || means.message == said.message)
    };
    let (kind, sentence, until) = match TABLE.iter().find(fits) {
        Some(means) => (means.kind, means.sentence, means.until),
        None if status >= 500 => (ErrorKind::Interrupted, FAILED, Until::Unknown),
        None => (ErrorKind::Unexpected, "Drive answers what nobody expects", Until::Unknown),
    };
    let shown = if reason.is_empty() { String::new() } else { format!(", {reason}") };
    let message = format!("{} (status {status}{shown})", sentence.replace("{account}", account));
    let code = if reason.is_empty() { status.to_string() } else { reason.clone() };
    let error = Error::new(kind, message).with_code(code);
    match (retry_after, until) {
        (Some(after), _) => error.with_retry_after(after),
        (None, Until::MidnightPacific) => error.with_retry_at(midnight_pacific(SystemTime::now())),
        (None, Until::Day) => error.with_retry_after(DAY),
        (None, Until::Hour) => error.with_retry_after(HOUR),
        (None, Until::Unknown) => error,
    }
}

/// An error of a connection: it broke, or there was none.
pub(crate) fn broken(error: reqwest::Error) -> Error {
    // A session's address is a secret.
    let error = error.without_url();
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, "Drive did not answer in time")
    } else if error.is_connect() {
        (ErrorKind::Interrupted, "Drive can't be reached: is there a network, and no firewall?")
    } else {
        (ErrorKind::Interrupted, "the connection to Drive broke")
    };
    Error::new(kind, message).with_source(error)
}

/// An answer that should have been JSON: a proxy's page, or half of it.
pub(crate) fn garbled(why: &str) -> Error {
    Error::new(ErrorKind::Interrupted, format!("Drive's answer can't be read: {why}"))
}

/// An error of this provider's own making, with what was done and to what.
pub(crate) fn refuse(kind: ErrorKind, what: &str, path: &str, why: &str) -> Error {
    Error::new(kind, format!("{what} {path:?}: {why}"))
}

/// True where a folder that was remembered may be there no more.
pub(crate) fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// True if nobody knows what came of a request.
pub(crate) fn is_unknown(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Timeout)
}

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// The next midnight where Google's days begin. In summer it is an hour late: better than early.
fn midnight_pacific(now: SystemTime) -> SystemTime {
    const OFFSET: u64 = 8 * 3600;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let day = DAY.as_secs();
    let begun = now.saturating_sub(OFFSET) / day;
    UNIX_EPOCH + Duration::from_secs((begun + 1) * day + OFFSET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "robot@studio.example";

    fn body(reason: &str) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({"error": {
            "code": 403, "message": "No.", "errors": [{"domain": "usageLimits", "reason": reason}],
        }}))
        .unwrap()
    }

    #[test]
    fn each_reason_has_its_kind() {
        for (status, given, kind) in [
            (403, "userRateLimitExceeded", ErrorKind::RateLimited),
            (403, "rateLimitExceeded", ErrorKind::RateLimited),
            (429, "rateLimitExceeded", ErrorKind::RateLimited),
            (429, "", ErrorKind::RateLimited),
            (403, "dailyLimitExceeded", ErrorKind::QuotaExhausted),
            (403, "storageQuotaExceeded", ErrorKind::StorageFull),
            (403, "teamDriveFileLimitExceeded", ErrorKind::StorageFull),
            (403, "numChildrenInNonRootLimitExceeded", ErrorKind::StorageFull),
            (403, "insufficientFilePermissions", ErrorKind::PermissionDenied),
            (403, "appNotAuthorizedToFile", ErrorKind::PermissionDenied),
            (403, "somethingNew", ErrorKind::PermissionDenied),
            (403, "accessNotConfigured", ErrorKind::Unauthenticated),
            (401, "authError", ErrorKind::Unauthenticated),
            (404, "notFound", ErrorKind::NotFound),
            (409, "fileIdInUse", ErrorKind::AlreadyExists),
            (412, "conditionNotMet", ErrorKind::Precondition),
            (500, "internalError", ErrorKind::Interrupted),
            (502, "", ErrorKind::Interrupted),
            (503, "backendError", ErrorKind::Interrupted),
            (400, "invalid", ErrorKind::Unexpected),
            (418, "", ErrorKind::Unexpected),
        ] {
            let error = refusal(status, &Refusal::read(&body(given)), None, ACCOUNT);
            assert_eq!(error.kind(), kind, "{status} {given}: {error}");
            assert!(!error.message().contains('{'), "{error}");
        }
    }

    #[test]
    fn pages_for_people_have_no_reason() {
        for page in [&b"<html><body>503</body></html>"[..], b"", b"null", b"[1]", b"{\"error\":1}"]
        {
            assert_eq!(Refusal::read(page).reason, "");
        }
        let new = br#"{"error": {"status": "PERMISSION_DENIED", "details": [
            {"@type": "x", "reason": "SERVICE_DISABLED"}], "errors": [{"reason": "forbidden"}]}}"#;
        assert_eq!(Refusal::read(new).reason, "SERVICE_DISABLED");
    }

    #[test]
    fn whoever_is_refused_is_named() {
        let error =
            refusal(403, &Refusal::read(&body("insufficientFilePermissions")), None, ACCOUNT);
        assert!(error.message().contains(ACCOUNT) && error.message().contains("share"), "{error}");
        assert_eq!(error.code(), "insufficientFilePermissions");
    }

    #[test]
    fn the_service_says_for_how_long() {
        let asked = Duration::from_secs(7);
        let after = |reason, given| {
            refusal(403, &Refusal::read(&body(reason)), given, ACCOUNT).retry_after()
        };
        assert_eq!(after("userRateLimitExceeded", Some(asked)), Some(asked));
        assert_eq!(after("userRateLimitExceeded", None), None);
        let words = br#"{"error": {"message": "User rate limit exceeded.", "errors": [
            {"reason": "userRateLimitExceeded"}]}}"#;
        let uploads = refusal(403, &Refusal::read(words), None, ACCOUNT);
        assert_eq!(uploads.kind(), ErrorKind::QuotaExhausted);
        assert_eq!(uploads.retry_after(), Some(HOUR));
        assert!(after("dailyLimitExceeded", None).is_some_and(|after| after <= DAY));
    }

    #[test]
    fn days_end_at_eight_in_utc() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let day = DAY.as_secs();
        for (now, next) in [(10 * day, 10 * day), (10 * day + 8 * 3600 - 1, 10 * day)] {
            assert_eq!(midnight_pacific(at(now)), at(next + 8 * 3600));
        }
        assert_eq!(midnight_pacific(at(10 * day + 8 * 3600)), at(11 * day + 8 * 3600));
    }
}
