//! The settings of a site in Google Drive.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use sitesync_provider::{Error, ErrorKind, Result};

/// Where Google's services are.
pub(crate) const GOOGLE: &str = "https://www.googleapis.com";
/// Drive takes chunks of a multiple of this many bytes.
pub(crate) const CHUNK_STEP: u64 = 256 << 10;
const CHUNK: u64 = 16 << 20;
/// A chunk that is cut off may have to be sent again: no larger than this.
const LARGEST_CHUNK: u64 = 1 << 30;

/// Settings of a site in Google Drive.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// Path of the service account's key: the JSON file that the Google Cloud console gives.
    #[schemars(
        title = "Credentials file",
        extend(
            "x-scope" = "local",
            "x-secret" = true,
            "x-per-platform" = true,
            "x-aliases" = ["credentials_url"]
        )
    )]
    #[serde(alias = "credentials_url")]
    pub credentials_file: String,
    /// E-mail address of a user of the same Google Workspace, in whose name everything is done. The
    /// service account needs domain-wide delegation for it.
    #[schemars(title = "Impersonated user")]
    pub impersonate: Option<String>,
    /// Where the service is, for tests: `http://127.0.0.1:8080`. Tokens come from where the
    /// credentials say.
    #[schemars(title = "Endpoint")]
    pub endpoint: String,
    /// Bytes of a large file that are sent in one request: a multiple of 262144 (256 KiB). Of what
    /// is cut off, at most so much is sent again. Files that fit in it go in one request, up to
    /// 5 MiB.
    #[schemars(
        title = "Chunk size",
        range(min = 262_144, max = 1_073_741_824),
        extend("x-scope" = "project", "x-part" = "site", "multipleOf" = 262_144)
    )]
    pub chunk_size: u64,
    /// Makes missing folders of the root beneath its first component when it is first used. The
    /// first component (a shared drive, a folder that someone shares) is never made.
    #[schemars(title = "Create root", extend("x-scope" = "project", "x-part" = "site"))]
    pub create_root: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            credentials_file: String::new(),
            impersonate: None,
            endpoint: GOOGLE.to_owned(),
            chunk_size: CHUNK,
            create_root: true,
        }
    }
}

/// Neither the path of the key nor who is impersonated is anybody's business.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("chunk_size", &self.chunk_size)
            .field("create_root", &self.create_root)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// `InvalidSettings`, with the field, where they can't be right.
    pub(crate) fn check(&self) -> Result<()> {
        if self.credentials_file.is_empty() {
            return Err(wrong(
                "credentials_file",
                "it is missing: give the path of the service account's JSON key",
            ));
        }
        let sound = (CHUNK_STEP..=LARGEST_CHUNK).contains(&self.chunk_size);
        if !sound || !self.chunk_size.is_multiple_of(CHUNK_STEP) {
            let why = format!(
                "{} is no multiple of {CHUNK_STEP} from {CHUNK_STEP} to {LARGEST_CHUNK}: take \
                 {CHUNK}",
                self.chunk_size
            );
            return Err(wrong("chunk_size", why));
        }
        // A bearer token goes there.
        let plain = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let local = plain.iter().any(|prefix| {
            let rest = self.endpoint.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        });
        if !local && !self.endpoint.starts_with("https://") {
            return Err(wrong("endpoint", "it must begin with https://"));
        }
        Ok(())
    }

    /// The endpoint without a slash at its end.
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint.trim_end_matches('/')
    }
}

/// An error of the settings, with the field.
pub(crate) fn wrong(field: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidSettings, format!("{field}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { credentials_file: "/key.json".to_owned(), ..Settings::default() }
    }

    #[test]
    fn chunks_are_multiples_of_what_drive_takes() {
        for (size, right) in [
            (0, false),
            (1, false),
            (CHUNK_STEP, true),
            (CHUNK_STEP + 1, false),
            (CHUNK, true),
            (LARGEST_CHUNK, true),
            (LARGEST_CHUNK + CHUNK_STEP, false),
        ] {
            let checked = Settings { chunk_size: size, ..settings() }.check();
            assert_eq!(checked.is_ok(), right, "{size}");
        }
    }

    #[test]
    fn tokens_are_not_sent_in_the_clear() {
        for (endpoint, right) in [
            ("https://www.googleapis.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost/", true),
            ("http://drive.example", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example:80", false),
            ("", false),
        ] {
            let checked = Settings { endpoint: endpoint.to_owned(), ..settings() }.check();
            assert_eq!(checked.is_ok(), right, "{endpoint}");
        }
    }

    #[test]
    fn the_old_name_of_the_credentials_is_read() {
        let old = serde_json::json!({"credentials_url": "/key.json"});
        let settings: Settings = serde_json::from_value(old).unwrap();
        assert_eq!(settings.credentials_file, "/key.json");
        assert!(!format!("{settings:?}").contains("key.json"));
    }
}
