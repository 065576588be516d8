//! Who we are: the service account's key, its tokens, and what is wrong with them.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use reqwest::header::DATE;
use serde_json::Value;
use sitesync_provider::{Error, ErrorKind, Host, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::Mutex;
use yup_oauth2::authenticator::DefaultAuthenticator;
use yup_oauth2::error::AuthErrorCode;
use yup_oauth2::{ServiceAccountAuthenticator, ServiceAccountKey};

use crate::config::{Settings, wrong};
use crate::seal::Seal;

/// The narrowest scope that sees what others put into a folder.
const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/drive"];
/// A clock that is off by less is not what a token was refused for.
const CLOCK_SLACK: i64 = 60;

/// The tokens of one account. One at a time is fetched, however many ask.
pub(crate) struct Auth {
    authenticator: Mutex<DefaultAuthenticator>,
    account: String,
    /// The service account itself, where it acts for somebody else.
    robot: String,
    token_uri: String,
    http: reqwest::Client,
    host: Host,
    seal: Seal,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Auth {
    /// Reads the key. Asks nobody yet. `InvalidSettings` if it is none.
    pub(crate) async fn new(
        settings: &Settings,
        http: reqwest::Client,
        host: Host,
    ) -> Result<Self> {
        let key = read_key(Path::new(&settings.credentials_file))?;
        let (robot, token_uri) = (key.client_email.clone(), key.token_uri.clone());
        let seal = Seal::of(&key.private_key)?;
        let mut builder = ServiceAccountAuthenticator::builder(key);
        if let Some(user) = &settings.impersonate {
            builder = builder.subject(user);
        }
        // The error beneath is of the key, or of this machine's certificates.
        let authenticator = builder.build().await.map_err(|error| {
            let what = "the private key in it can't be used, or this machine has no certificate \
                        authorities (install ca-certificates)";
            wrong("credentials_file", format!("{what}: {error}"))
        })?;
        let account = settings.impersonate.clone().unwrap_or_else(|| robot.clone());
        let authenticator = Mutex::new(authenticator);
        Ok(Auth { authenticator, account, robot, token_uri, http, host, seal })
    }

    /// Who the service takes us for: an e-mail address.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Seals what only this account may read.
    pub(crate) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// A token that is good for a while.
    pub(crate) async fn token(&self) -> Result<String> {
        let authenticator = self.authenticator.lock().await;
        let token = authenticator.token(&SCOPES).await;
        self.told(token).await
    }

    /// A token other than `old`, which the service no longer takes.
    pub(crate) async fn fresh_token(&self, old: &str) -> Result<String> {
        let authenticator = self.authenticator.lock().await;
        let token = authenticator.token(&SCOPES).await;
        // Somebody else was quicker.
        if token.as_ref().is_ok_and(|token| token.token().is_some_and(|token| token != old)) {
            return self.told(token).await;
        }
        let token = authenticator.force_refreshed_token(&SCOPES).await;
        self.told(token).await
    }

    async fn told(
        &self,
        token: Result<yup_oauth2::AccessToken, yup_oauth2::Error>,
    ) -> Result<String> {
        match token {
            Ok(token) => token.token().map(str::to_owned).ok_or_else(|| {
                let why = "Google answered without a token";
                Error::new(ErrorKind::Interrupted, why)
            }),
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// What is wrong, and what to do about it.
    async fn refused(&self, error: yup_oauth2::Error) -> Error {
        let robot = &self.robot;
        let refused = match error {
            yup_oauth2::Error::AuthError(refused) => refused,
            yup_oauth2::Error::HttpError(_) | yup_oauth2::Error::HttpClientError(_) => {
                let why = format!(
                    "no token for {robot}: {} can't be reached. Is there a network, and no \
                     firewall?",
                    server(&self.token_uri)
                );
                return Error::new(ErrorKind::Interrupted, why);
            }
            yup_oauth2::Error::LowLevelError(error) => {
                return wrong("credentials_file", format!("its private key can't sign: {error}"));
            }
            _ => {
                let why = format!("no token for {robot}: Google's answer can't be read");
                return Error::new(ErrorKind::Interrupted, why);
            }
        };
        let said = refused.error_description.unwrap_or_default();
        let code = refused.error.as_str().to_owned();
        let why = match refused.error {
            AuthErrorCode::InvalidGrant if speaks_of_time(&said) => self.clock().await,
            AuthErrorCode::InvalidGrant if said.contains("Signature") => format!(
                "Google does not know the key of {robot} any more: it was revoked. Make a new one \
                 in the Google Cloud console, and put it in the place of `credentials_file`"
            ),
            AuthErrorCode::InvalidGrant if said.to_lowercase().contains("not found") => format!(
                "there is no service account {robot} any more: make one in the Google Cloud \
                 console, share the folder with it, and set `credentials_file` to its key"
            ),
            AuthErrorCode::InvalidGrant if self.account != *robot => {
                format!("Google knows no user {}: correct `impersonate` ({said})", self.account)
            }
            AuthErrorCode::InvalidGrant => format!(
                "Google refuses the key of {robot} ({said}): make a new one in the Google Cloud \
                 console, and put it in the place of `credentials_file`"
            ),
            AuthErrorCode::UnauthorizedClient | AuthErrorCode::AccessDenied
                if self.account != *robot =>
            {
                format!(
                    "{robot} may not act for {}: let the administrator of the Google Workspace \
                     grant it domain-wide delegation for the scope {}, or remove `impersonate`",
                    self.account, SCOPES[0]
                )
            }
            AuthErrorCode::InvalidScope
            | AuthErrorCode::UnauthorizedClient
            | AuthErrorCode::AccessDenied => {
                format!("{robot} is not given the scope {}: allow it ({said})", SCOPES[0])
            }
            AuthErrorCode::InvalidClient => format!(
                "Google does not know {robot}: is `credentials_file` the key of a service account \
                 that still exists?"
            ),
            AuthErrorCode::Other(ref code) if code == "server_error" => {
                let why = format!("no token for {robot}: Google has failed");
                return Error::new(ErrorKind::Interrupted, why).with_code(code);
            }
            _ => format!("Google refuses a token for {robot} ({code}: {said})"),
        };
        Error::new(ErrorKind::Unauthenticated, why).with_code(code)
    }

    /// By how much this machine's clock is off, as far as the service tells its own time.
    async fn clock(&self) -> String {
        let off = match self.time_there().await {
            Some(there) => {
                let here = OffsetDateTime::from(SystemTime::now()).unix_timestamp();
                match here - there {
                    off if off.abs() < CLOCK_SLACK => String::new(),
                    off if off > 0 => format!(" It is {} ahead.", spoken(off)),
                    off => format!(" It is {} behind.", spoken(-off)),
                }
            }
            None => String::new(),
        };
        format!(
            "Google refuses a token for {} because of the time: the clock of this machine is \
             wrong.{off} Set it, best by NTP (`timedatectl set-ntp true`)",
            self.robot
        )
    }

    /// The time of the token server, in seconds since the epoch.
    async fn time_there(&self) -> Option<i64> {
        self.host.permit(1).await.ok()?;
        let answer = self.http.get(&self.token_uri).send().await.ok()?;
        // `GMT` is what HTTP says, and RFC 2822 knows it as well.
        let date = answer.headers().get(DATE)?.to_str().ok()?;
        Some(OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp())
    }
}

/// True for what Google says of `iat` and `exp`.
fn speaks_of_time(said: &str) -> bool {
    ["iat", "exp ", "exp)", "short-lived", "timeframe", "clock", "future", "expired"]
        .iter()
        .any(|word| said.contains(word))
}

/// `2 h 0 min`, `90 s`.
fn spoken(seconds: i64) -> String {
    match seconds {
        0..600 => format!("{seconds} s"),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The server of an address, for people.
fn server(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The key in a file. Errors never show what is in it.
fn read_key(path: &Path) -> Result<ServiceAccountKey> {
    let field = "credentials_file";
    let text = std::fs::read_to_string(path).map_err(|error| {
        // An error of reading has no bytes of the file in it.
        wrong(field, format!("it can't be read ({error}): is the path right, and may this user?"))
    })?;
    let Ok(json) = serde_json::from_str::<Value>(&text) else {
        return Err(wrong(
            field,
            "it is not JSON: take the file as the Google Cloud console gives it (keys of type \
             JSON, not P12)",
        ));
    };
    let why = match json.get("type").and_then(Value::as_str) {
        Some("service_account") => {
            return serde_json::from_value(json).map_err(|_| {
                let why = "the service account's key is incomplete: download it again";
                wrong(field, why)
            });
        }
        Some("authorized_user") => "it is the login of a person (`authorized_user`)",
        Some("external_account") => "it is of a federated identity (`external_account`)",
        Some(_) => "it is of a kind that is not known here",
        None if json.get("installed").is_some() || json.get("web").is_some() => {
            "it is an OAuth client, with which a person would log in"
        }
        None => "it does not say what it is of",
    };
    let what = "make a key of a service account (Google Cloud console, IAM & Admin, Service \
                Accounts, Keys, type JSON)";
    Err(wrong(field, format!("{why}: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_from_other_reasons() {
        for (said, time) in [
            (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
                 timeframe. Check your iat and exp values in the JWT claim.",
                true,
            ),
            ("Invalid JWT Signature.", false),
            ("Invalid grant: account not found", false),
            ("Invalid email or User ID", false),
        ] {
            assert_eq!(speaks_of_time(said), time, "{said}");
        }
    }

    #[test]
    fn keys_of_other_kinds_are_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("key.json");
        for (text, says) in [
            ("-----BEGIN PRIVATE KEY-----", "not JSON"),
            (r#"{"type": "authorized_user", "refresh_token": "s3cret"}"#, "a person"),
            (r#"{"installed": {"client_secret": "s3cret"}}"#, "OAuth client"),
            (r#"{"type": "external_account"}"#, "federated"),
            (r#"{"type": "service_account", "private_key": "s3cret"}"#, "incomplete"),
            ("{}", "does not say"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_key(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSettings);
            let said = format!("{error:?} {error}");
            assert!(said.contains(says) && said.contains("credentials_file"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        let missing = read_key(&temp.path().join("none.json")).unwrap_err();
        assert!(missing.message().contains("can't be read"), "{missing}");
    }

    #[test]
    fn a_clock_is_spoken_of_in_hours() {
        assert_eq!(spoken(90), "90 s");
        assert_eq!(spoken(7200), "2 h 0 min");
        assert_eq!(server("https://oauth2.googleapis.com/token"), "oauth2.googleapis.com");
    }
}
