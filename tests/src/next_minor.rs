//! The minor of `provider-api` that comes after this one, made up: a copy of this workspace whose
//! contract has grown in every way in which a minor may. See `docs/testing.md`.
//!
//! What it adds answers *default* where a plug-in of today does not know of it, and *appended* where
//! a plug-in of the next minor does:
//!
//! | added | seen as |
//! |---|---|
//! | a field of the root module | the label in `sitesync providers --json` |
//! | a method of the provider | `info.motto` in `sitesync sites --json` |
//! | fields of `Description` and `RootInfo` | by nothing: either side has to bear them |
//!
//! It is built into the same target folder, so that only this workspace's own crates are compiled
//! twice. Binary and libraries have names of their own there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// A host and plug-ins of the next minor.
#[derive(Debug, Clone)]
pub struct NextMinor {
    /// The version of its contract.
    pub api: String,
    /// The host.
    pub host: PathBuf,
    /// `local_drive`.
    pub local_drive: PathBuf,
}

/// Builds it, once a test binary; about a minute where nothing of it was built before.
pub fn next_minor() -> Result<NextMinor> {
    static BUILT: OnceLock<Result<NextMinor, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// A text that stands in a file once, and what stands there in the next minor.
struct Edit {
    file: &'static str,
    find: &'static str,
    replace: &'static str,
}

const EDITS: &[Edit] = &[
    Edit {
        file: "provider-api/src/abi/wire.rs",
        find: "    pub shut_down: extern \"C\" fn(),\n}",
        replace: "    pub shut_down: extern \"C\" fn(),\n    \
                  #[sabi(missing_field(option))]\n    \
                  pub motto: extern \"C\" fn() -> RString,\n}",
    },
    Edit {
        file: "provider-api/src/abi/wire.rs",
        find: "}\npub type ProviderBox",
        replace: "    fn motto(&self) -> RString {\n        RString::from(\"default\")\n    }\n\
                  }\npub type ProviderBox",
    },
    Edit {
        file: "provider-api/src/abi/shim.rs",
        find: "impl<P: Provider> RawProvider for Shim<P> {\n",
        replace: "extern \"C\" fn motto() -> RString {\n    RString::from(\"appended\")\n}\n\n\
                  impl<P: Provider> RawProvider for Shim<P> {\n    \
                  fn motto(&self) -> RString {\n        motto()\n    }\n\n",
    },
    Edit {
        file: "provider-api/src/abi/shim.rs",
        find: "        shut_down,\n    }",
        replace: "        shut_down,\n        motto,\n    }",
    },
    Edit {
        file: "provider-api/src/abi/client.rs",
        find: "parse(answer((self.0.describe())())?.as_str(), \"description\")",
        replace: "let told = answer((self.0.describe())())?;\n        \
                  let mut described: Description = parse(told.as_str(), \"description\")?;\n        \
                  let motto = self.0.motto().map_or(\"default\".into(), |motto| motto());\n        \
                  described.label = motto.into();\n        Ok(described)",
    },
    Edit {
        file: "provider-api/src/abi/client.rs",
        find: "parse(answer(call.await)?.as_str(), \"description of a root\")",
        replace: "let told = answer(call.await)?;\n        \
                  let mut info: RootInfo = parse(told.as_str(), \"description of a root\")?;\n        \
                  info.motto = self.0.motto().into();\n        Ok(info)",
    },
    Edit {
        file: "provider-api/src/root.rs",
        find: "pub struct RootInfo {\n",
        replace: "pub struct RootInfo {\n    /// Added.\n    pub motto: String,\n",
    },
    Edit {
        file: "provider-api/src/provider.rs",
        find: "pub struct Description {\n",
        replace: "pub struct Description {\n    /// Added.\n    pub motto: String,\n",
    },
    Edit {
        file: "provider-api/src/provider.rs",
        find: "        Description {\n            id:",
        replace: "        Description {\n            motto: \"appended\".to_owned(),\n            id:",
    },
    // Other names than today's, which lie beside them.
    Edit {
        file: "host/Cargo.toml",
        find: "[dependencies]\n",
        replace: "[[bin]]\nname = \"sitesync-next\"\npath = \"src/main.rs\"\n\n[dependencies]\n",
    },
    Edit { file: "host/Cargo.toml", find: "[package]\n", replace: "[package]\nautobins = false\n" },
    Edit {
        file: "providers/local_drive/Cargo.toml",
        find: "[lib]\n",
        replace: "[lib]\nname = \"local_drive_next\"\n",
    },
];

fn build() -> Result<NextMinor> {
    let profile = crate::profile_folder()?;
    let target = profile.parent().context("the target folder")?;
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let copy = target.join("next-minor");
    let api = write_sources(top, &copy)?;
    for what in [["--package=sitesync", "--bin=sitesync-next"], ["--package=local_drive", "--lib"]]
    {
        let mut cargo = crate::cargo_build(&profile, target);
        cargo.arg("--manifest-path").arg(copy.join("Cargo.toml")).args(what);
        // Nobody goes on editing it.
        cargo.env("CARGO_INCREMENTAL", "0");
        ensure!(cargo.status()?.success(), "cargo cannot build the next minor in {copy:?}");
    }
    let library = profile.join("liblocal_drive_next.so");
    Ok(NextMinor { api, host: profile.join("sitesync-next"), local_drive: library })
}

/// Writes the workspace as the next minor has it; returns the version of its contract. What is
/// there already and right is left alone, so that it is not built again.
fn write_sources(top: &Path, copy: &Path) -> Result<String> {
    let manifest = fs::read_to_string(top.join("provider-api/Cargo.toml"))?;
    let version =
        |line: &str| line.strip_prefix("version = \"")?.strip_suffix('"').map(str::to_owned);
    let today = manifest.lines().find_map(version).context("provider-api has no version")?;
    let mut parts = today.split('.');
    let (major, minor) = (parts.next(), parts.next().and_then(|minor| minor.parse::<u32>().ok()));
    let (major, minor) = major.zip(minor).context("provider-api's version")?;
    let next = format!("{major}.{}.0", minor + 1);

    let mut edits: Vec<(&str, String, String)> = EDITS
        .iter()
        .map(|edit| (edit.file, edit.find.to_owned(), edit.replace.to_owned()))
        .collect();
    for (file, head) in
        [("provider-api/Cargo.toml", ""), ("Cargo.lock", "name = \"sitesync-provider\"\n")]
    {
        let text = |version: &str| format!("{head}version = \"{version}\"\n");
        edits.push((file, text(&today), text(&next)));
    }

    for file in sources(top)? {
        let mut content = fs::read(top.join(&file)).with_context(|| format!("{file:?}"))?;
        for (_, find, replace) in edits.iter().filter(|(name, ..)| Path::new(name) == file) {
            let text = String::from_utf8(content).with_context(|| format!("{file:?}"))?;
            let times = text.matches(find.as_str()).count();
            ensure!(times == 1, "{find:?} stands {times} times in {file:?}: adapt the next minor");
            content = text.replace(find.as_str(), replace).into_bytes();
        }
        let to = copy.join(&file);
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        fs::create_dir_all(to.parent().context("a folder")?)?;
        fs::write(&to, content).with_context(|| format!("{to:?}"))?;
    }
    // What today's workspace no longer has.
    let today = sources(top)?;
    for file in sources(copy)?.iter().filter(|file| !today.contains(file)) {
        fs::remove_file(copy.join(file))?;
    }
    Ok(next)
}

/// The files that cargo needs of a workspace, by their paths in it. The host holds some documents.
fn sources(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        ["Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"].map(PathBuf::from).to_vec();
    let folders = ["docs", "host", "provider-api", "providers", "tests", "xtask"];
    let mut left: Vec<PathBuf> = folders.map(PathBuf::from).to_vec();
    while let Some(folder) = left.pop() {
        let entries = match fs::read_dir(top.join(&folder)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("{folder:?}"))?,
        };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != "target" {
                left.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
