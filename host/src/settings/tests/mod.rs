//! What the settings promise, as data: texts in, what a person is shown out.

mod disk;
mod edit;
mod edit_any;
mod good;
mod layers;
mod wrong;

use super::{Context, Errors, Loaded, Platform, Settings};

/// A machine that never changes.
fn context() -> Context {
    Context {
        platform: Platform::Linux,
        variables: [("STUDIO", "/mnt/studio"), ("USER", "anna"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        home: Some("/home/anna".into()),
    }
}

fn parse(text: &str) -> Result<Loaded, Errors> {
    Settings::parse(text, "sitesync.toml", &context())
}

fn good(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn notes(text: &str) -> String {
    let notes = good(text).notes;
    notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// Two sites and a pair that are in order, to stand below a snippet.
const SITES: &str = r#"
[sites.studio]
provider = "local_drive"
root.work = "/mnt/studio/{project}"

[sites.gdrive]
provider = "gdrive"
root.work = "/My Drive/{project}"
"#;
