//! The manifest of a plug-in: its text, and whether this host takes what it says.

use std::collections::HashMap;

use semver::Version;
use sitesync_provider::API_VERSION;
use sitesync_provider::abi::manifest::{MAGIC, TARGET};

use super::report::Refusal;

/// The longest manifest, in bytes.
pub(super) const LONGEST: u64 = 4096;

/// What a plug-in says of itself, readable without executing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The provider's name, as settings have it: lower case letters, digits, `_`.
    pub name: String,
    /// The plug-in's version.
    pub version: Version,
    /// The version of provider-api that it was built with.
    pub api: Version,
    /// The compiler that built it.
    pub rustc: String,
    /// The target that it was built for.
    pub target: String,
    /// What a panic does in it: `unwind` or `abort`.
    pub panic: String,
}

impl Manifest {
    /// Reads the text of the section. Unknown lines are skipped: a later host may know them.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        parse(text).map_err(|reason| {
            Refusal::new(reason, "rebuild the plug-in with an unmodified sitesync-provider crate")
        })
    }

    /// Whether this host can load what says this of itself.
    pub(super) fn gate(&self) -> Result<(), Refusal> {
        let Manifest { name, version, api, .. } = self;
        // This crate's own version is one, or it would not have been built.
        let host = Version::parse(API_VERSION).unwrap_or_else(|_| Version::new(0, 0, 0));
        if api.major != host.major {
            return Err(Refusal::new(
                format!(
                    "{name} {version} needs provider-api ^{}, this host has {}.{}",
                    api.major, host.major, host.minor
                ),
                if api.major > host.major {
                    format!(
                        "update sitesync, or install a {name} that was built for provider-api {}",
                        host.major
                    )
                } else {
                    format!("install a newer {name}, built for provider-api {}", host.major)
                },
            ));
        }
        if platform(&self.target) != platform(TARGET) {
            return Err(Refusal::new(
                format!(
                    "{name} {version} was built for {}, this host for {TARGET}",
                    shown(&self.target)
                ),
                format!("install the {name} for {TARGET}"),
            ));
        }
        if self.panic != "unwind" {
            return Err(Refusal::new(
                format!(
                    "{name} {version} was built with panic = {}: a fault in it would end the whole \
                     host",
                    shown(&self.panic)
                ),
                "rebuild it with panic = \"unwind\" in its Cargo profile",
            ));
        }
        Ok(())
    }
}

fn parse(text: &[u8]) -> Result<Manifest, String> {
    let text = std::str::from_utf8(text).map_err(|_| "its manifest is not a text".to_owned())?;
    let lines = text
        .strip_prefix(MAGIC)
        .ok_or_else(|| "its manifest is of a form that this host does not know".to_owned())?;
    let mut values = HashMap::new();
    let lines = lines
        .strip_suffix('\n')
        .ok_or_else(|| "its manifest ends in the middle of a line".to_owned())?;
    for line in lines.split('\n').filter(|line| !line.is_empty()) {
        if line.chars().any(char::is_control) {
            return Err("its manifest holds control characters".to_owned());
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("its manifest has a line that says nothing: {}", shown(line)))?;
        if values.insert(key, value).is_some() {
            return Err(format!("its manifest says {} twice", shown(key)));
        }
    }
    let mut take = |key: &str| {
        values.remove(key).ok_or_else(|| format!("its manifest does not say its {key:?}"))
    };
    let version = |key: &str, text: &str| {
        Version::parse(text).map_err(|error| {
            format!("its manifest's {key:?} is no version: {}: {error}", shown(text))
        })
    };
    let name = take("name")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(format!("its manifest's name {} is no provider's name", shown(name)));
    }
    Ok(Manifest {
        name: name.to_owned(),
        version: version("version", take("version")?)?,
        api: version("api", take("api")?)?,
        rustc: take("rustc")?.to_owned(),
        target: take("target")?.to_owned(),
        panic: take("panic")?.to_owned(),
    })
}

/// A foreign text in quotes, cut where it is longer than anything that is meant.
fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// The parts of a target triple that have to agree; the vendor doesn't.
fn platform(target: &str) -> Vec<&str> {
    target.split('-').filter(|part| !matches!(*part, "unknown" | "pc")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: impl Fn(String) -> String) -> Vec<u8> {
        change(format!(
            "{MAGIC}name=gdrive\nversion=1.2.0\napi={API_VERSION}\nrustc=rustc 1.95.0\n\
             target={TARGET}\npanic=unwind\n"
        ))
        .into_bytes()
    }

    fn refusal(change: impl Fn(String) -> String) -> String {
        let refused = match Manifest::parse(&text(change)) {
            Ok(manifest) => manifest.gate().expect_err("refused"),
            Err(refusal) => refusal,
        };
        refused.to_string()
    }

    #[test]
    fn one_that_fits() {
        let manifest = Manifest::parse(&text(|t| t + "later=more\n\n")).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.minor), ("gdrive", 2));
        manifest.gate().unwrap();
        let minor = Manifest::parse(&text(|t| t.replace(API_VERSION, "1.99.0"))).unwrap();
        minor.gate().unwrap();
        let vendor = Manifest::parse(&text(|t| t.replace("-unknown-", "-pc-"))).unwrap();
        vendor.gate().unwrap();
    }

    #[test]
    fn sentences() {
        let target = |target: &'static str| move |text: String| text.replace(TARGET, target);
        let api = |api: &'static str| {
            move |text: String| text.replace(&format!("api={API_VERSION}"), &format!("api={api}"))
        };
        insta::assert_snapshot!(
            [
                refusal(api("2.1.0")),
                refusal(api("0.9.0")),
                refusal(target("aarch64-apple-darwin")),
                refusal(target("other-unknown-linux-musl")),
                refusal(|t| t.replace("unwind", "abort")),
                refusal(|t| t.replace("PLUGIN/1", "PLUGIN/2")),
                refusal(|t| t.replace("1.2.0", "new")),
                refusal(|t| t.replace("gdrive", "../../etc")),
                refusal(|t| t.replace("name=", "nom=")),
                refusal(|t| t + "name=other\n"),
                refusal(|t| t + "x=\x1b[31m\n"),
                refusal(|t| t + "what\n"),
                refusal(|t| t.trim_end().to_owned()),
                refusal(|t| t.replace('\n', "\r\n").replacen('\r', "", 1)),
                refusal(|t| t + &"long".repeat(100) + "\n"),
            ]
            .join("\n")
            .replace(TARGET, "TARGET")
        );
        let binary = Manifest::parse(b"\xff\xfe").expect_err("no text");
        assert_eq!(binary.reason, "its manifest is not a text");
    }
}
