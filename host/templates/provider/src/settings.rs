//! The settings of a site: what stands in `[sites.NAME]` besides what sitesync itself knows.

use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a site. Doc comments are the help that users see, titles the labels of forms.
///
/// No `Debug`: the key must not end up in a log.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The account whose files these are.
    // Part of the *connection*, as every field is that says nothing else: sites that agree in all
    // of these share one instance.
    #[schemars(title = "Account", extend("x-scope" = "studio"))]
    pub account: String,
    /// The account's key. Keep it in a variable: `key = "{MY_STORE_KEY}"`.
    // A secret is never shown. Each machine may have its own.
    #[schemars(title = "Key", extend("x-scope" = "local", "x-secret" = true))]
    pub key: String,
    /// The largest file that is sent there, in bytes. Without it, every file is.
    // Part of the *site*: sites that differ in it still share an instance. It arrives in
    // `open_root`.
    #[schemars(title = "Largest file", extend("x-scope" = "project", "x-part" = "site"))]
    pub largest_file: Option<u64>,
}
