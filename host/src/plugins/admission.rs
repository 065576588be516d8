//! The contents that somebody admitted by name: `trusted.toml`, a line a content, in the folder of
//! the cache. It is the one file there that cannot be made anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::report::{Refusal, quoted};
use super::trust;

const NAME: &str = "trusted.toml";
const HEAD: &str = "# Plug-ins that may be loaded where the settings say `trust = \"pinned\"`, by the digest\n\
                    # of their content. Written by `sitesync provider trust`.\n";

/// One content that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The SHA-256 of the content, in hex.
    #[serde(skip_deserializing)]
    pub sha256: String,
    /// The provider's name.
    pub name: String,
    /// The plug-in's version.
    pub version: String,
    /// When it was admitted: RFC 3339, UTC.
    pub admitted: String,
    /// The file that held it then.
    pub path: PathBuf,
}

/// All that was admitted, oldest first.
#[derive(Debug)]
pub(super) struct Admissions(Vec<Admission>);

impl Admissions {
    /// Reads them. A file that is there and cannot be believed is an error, and admits nothing.
    pub(super) fn read(folder: &Path) -> Result<Self, Refusal> {
        let file = folder.join(NAME);
        let fail = |what: &dyn std::fmt::Display| {
            Refusal::new(
                format!("the list of admitted plug-ins {} cannot be used: {what}", file.display()),
                "repair or remove it, and admit the plug-ins again: sitesync provider trust FILE",
            )
        };
        let text = match File::open(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(fail(&error)),
            Ok(opened) => {
                trust::check(&file, &opened.metadata().map_err(|error| fail(&error))?)?;
                std::io::read_to_string(opened).map_err(|error| fail(&error))?
            }
        };
        let read: BTreeMap<String, Admission> = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            fail(&format_args!("line {line}: {}", error.message()))
        })?;
        if let Some(wrong) = read.keys().find(|key| !is_sha256(key)) {
            return Err(fail(&format_args!("{wrong:?} is no SHA-256 in hex")));
        }
        let mut all: Vec<Admission> =
            read.into_iter().map(|(sha256, admission)| Admission { sha256, ..admission }).collect();
        all.sort_by(|a, b| a.admitted.cmp(&b.admitted));
        Ok(Admissions(all))
    }

    pub(super) fn all(self) -> Vec<Admission> {
        self.0
    }

    /// Why a file with this content may not be loaded, unless it was admitted.
    pub(super) fn check(&self, path: &Path, sha256: &str) -> Result<(), Refusal> {
        if self.0.iter().any(|admission| admission.sha256 == sha256) {
            return Ok(());
        }
        let same_path = self.0.iter().rev().find(|admission| admission.path == path);
        let reason = match same_path {
            Some(before) => format!(
                "{} was changed since it was admitted on {}: its SHA-256 is {sha256} now, and was \
                 {}",
                path.display(),
                before.admitted,
                before.sha256
            ),
            None => format!("{} was never admitted (SHA-256 {sha256})", path.display()),
        };
        Err(Refusal::new(
            reason,
            format!("if its content can be trusted, run: sitesync provider trust {}", quoted(path)),
        ))
    }

    /// Admits a content, or renews its line.
    pub(super) fn add(folder: &Path, admission: Admission) -> Result<(), Refusal> {
        Self::change(folder, |all| {
            all.retain(|known| known.sha256 != admission.sha256);
            all.push(admission);
        })
    }

    /// Takes back what this says of a content.
    pub(super) fn remove(folder: &Path, sha256: &str) -> Result<(), Refusal> {
        Self::change(folder, |all| all.retain(|known| known.sha256 != sha256))
    }

    fn change(folder: &Path, change: impl FnOnce(&mut Vec<Admission>)) -> Result<(), Refusal> {
        let file = folder.join(NAME);
        let fail = |error: std::io::Error| {
            Refusal::new(
                format!("{} cannot be written: {error}", file.display()),
                "run this as the service's user, and see that the state folder has room",
            )
        };
        // Held until the end, so that of two changes at once neither is lost.
        let lock = File::open(folder).map_err(fail)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| fail(error.into()))?;
        let mut admissions = Self::read(folder)?;
        change(&mut admissions.0);
        let text =
            admissions.0.iter().fold(HEAD.to_owned(), |text, admission| text + &line(admission));
        let new = folder.join(format!(".{NAME}.new"));
        let write = || -> std::io::Result<()> {
            let mut options = File::options();
            let mut written =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            written.write_all(text.as_bytes())?;
            written.sync_all()?;
            std::fs::rename(&new, &file)?;
            lock.sync_all()
        };
        write().map_err(fail)
    }
}

fn line(admission: &Admission) -> String {
    // A JSON string is a TOML string, but for this one character; and it never takes two lines.
    let text = |text: &str| serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f");
    let Admission { sha256, name, version, admitted, path } = admission;
    format!(
        "{sha256} = {{ name = {}, version = {}, admitted = {}, path = {} }}\n",
        text(name),
        text(version),
        text(admitted),
        text(&path.to_string_lossy()),
    )
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn admission(digit: char, path: &str) -> Admission {
        Admission {
            sha256: digit.to_string().repeat(64),
            name: "gdrive".into(),
            version: "1.2.0".into(),
            admitted: format!("2026-01-0{digit}T00:00:00Z"),
            path: path.into(),
        }
    }

    #[test]
    fn a_line_a_content() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(Admissions::read(at).unwrap().all(), []);
        let odd = admission('2', "/a \"b\"\n\u{1b}\u{7f}\u{e9}.so");
        Admissions::add(at, odd.clone()).unwrap();
        Admissions::add(at, admission('1', "/b.so")).unwrap();
        Admissions::add(at, admission('1', "/c.so")).unwrap();
        let expected = [admission('1', "/c.so"), odd];
        assert_eq!(Admissions::read(at).unwrap().all(), expected);
        let file = at.join(NAME);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 4);

        let admissions = Admissions::read(at).unwrap();
        admissions.check(Path::new("/elsewhere.so"), &"1".repeat(64)).unwrap();
        let told = ["/c.so", "/x y.so"]
            .map(|path| admissions.check(Path::new(path), "abc").unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"));

        Admissions::remove(at, &"1".repeat(64)).unwrap();
        assert_eq!(Admissions::read(at).unwrap().all().len(), 1);
    }

    #[test]
    fn a_list_that_cannot_be_believed_admits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        let mut told = Vec::new();
        for text in [
            "x",
            "\nabc = { name = \"a\", version = \"1\", admitted = \"\", path = \"\" }",
            "a = 1\n",
        ] {
            std::fs::write(&file, text).unwrap();
            told.push(Admissions::read(folder.path()).unwrap_err().to_string());
        }
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        told.push(Admissions::read(folder.path()).unwrap_err().to_string());
        let told = told.join("\n").replace(folder.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(told);
    }
}
