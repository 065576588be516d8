//! This repository and its target folder, as cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

/// The repository and what is in it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The top folder.
    pub(crate) root: PathBuf,
    /// Where cargo builds: `CARGO_TARGET_DIR`, cargo's own settings, or `target`.
    pub(crate) target: PathBuf,
    /// The packages under `providers/`: each is a plug-in.
    pub(crate) providers: Vec<String>,
}

impl Workspace {
    /// Asks cargo for the workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut metadata = cargo(here);
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&process::read(&mut metadata)?)
            .context("cargo metadata prints no JSON")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let target = PathBuf::from(text(&metadata, "target_directory")?);

        let folder = root.join("providers");
        let mut providers = Vec::new();
        for package in
            metadata["packages"].as_array().context("cargo metadata lists no packages")?
        {
            if Path::new(text(package, "manifest_path")?).starts_with(&folder) {
                providers.push(text(package, "name")?.to_owned());
            }
        }
        if providers.is_empty() {
            bail!("there is no package under {}", folder.display());
        }
        Ok(Workspace { root, target, providers })
    }

    /// A call of cargo at the top of the repository.
    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.root)
    }
}

/// The cargo that runs this program, with its folder set.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    // What `cargo run` tells this program is not meant for the builds that it starts: build
    // scripts would be run again for nothing.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("cargo metadata has no `{key}`"))
}
