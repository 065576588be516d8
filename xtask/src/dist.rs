//! `cargo xtask build`: the binary and its plug-ins, laid out as an admin would install them.
//!
//! ```text
//! target/dist/sitesync
//! target/dist/providers/liblocal_drive.so
//! ```

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{self, doing};
use crate::workspace::Workspace;

/// `cargo xtask build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Build with optimisation
    #[arg(long)]
    release: bool,
}

/// A binary with its plug-ins.
#[derive(Debug, Clone)]
pub(crate) struct Dist {
    /// The program.
    pub(crate) binary: PathBuf,
    /// The plug-in folder.
    pub(crate) providers: PathBuf,
}

/// Builds, lays out, and says where.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let dist = build(workspace, arguments.release)?;
    println!("{}", dist.binary.display());
    for plugin in plugins(&dist.providers)? {
        println!("{}", plugin.display());
    }
    Ok(())
}

/// Builds the binary and every plug-in, and lays them out in `target/dist`.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<Dist> {
    let artifacts = compile(workspace, release)?;
    let folder = workspace.target.join("dist");
    lay_out(&artifacts, &folder)
}

/// Lays out the same in another folder.
pub(crate) fn copy(dist: &Dist, folder: &Path) -> Result<Dist> {
    let artifacts = Artifacts { binary: dist.binary.clone(), plugins: plugins(&dist.providers)? };
    lay_out(&artifacts, folder)
}

/// The plug-ins in a folder, by name.
pub(crate) fn plugins(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(doing("list", folder))? {
        let path = entry.with_context(doing("list", folder))?.path();
        if path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Makes a folder that neither the group nor others can write to, whatever the umask says: the host
/// takes no plug-in, settings or state from where others could have put them.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(doing("make", path))?;
    protect(path)
}

/// `chmod go-w`.
pub(crate) fn protect(path: &Path) -> Result<()> {
    let mode = fs::metadata(path).with_context(doing("look at", path))?.permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7755))
        .with_context(doing("change the mode of", path))
}

/// What cargo built.
#[derive(Debug)]
struct Artifacts {
    binary: PathBuf,
    plugins: Vec<PathBuf>,
}

/// Builds, and returns where cargo says that it has put things: with a target or a profile of the
/// user's own, the place is not to be guessed.
fn compile(workspace: &Workspace, release: bool) -> Result<Artifacts> {
    let mut command = workspace.cargo();
    command.args(["build", "--message-format=json-render-diagnostics", "--package", "sitesync"]);
    for provider in &workspace.providers {
        command.args(["--package", provider]);
    }
    if release {
        command.arg("--release");
    }
    let messages = artifacts(&mut command)?;

    let mut binary = None;
    let mut plugins = Vec::new();
    for message in &messages {
        let kinds = strings(&message["target"]["kind"]);
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let files = strings(&message["filenames"]);
        if kinds.contains(&"bin") && name == "sitesync" {
            binary = message["executable"].as_str().map(PathBuf::from);
        }
        // Examples of plug-ins are cdylibs too, but are no packages' libraries.
        let is_provider = message["manifest_path"].as_str().is_some_and(|manifest| {
            Path::new(manifest).starts_with(workspace.root.join("providers"))
        });
        if is_provider && kinds.contains(&"cdylib") {
            let plugin = files.into_iter().map(PathBuf::from).find(|file| {
                file.extension()
                    .is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
            });
            plugins.push(plugin.with_context(|| format!("cargo built no library of `{name}`"))?);
        }
    }
    ensure!(
        plugins.len() == workspace.providers.len(),
        "{} packages under providers/ gave {} plug-ins: each needs `crate-type = [\"cdylib\", ..]`",
        workspace.providers.len(),
        plugins.len()
    );
    Ok(Artifacts { binary: binary.context("package `sitesync` has no binary")?, plugins })
}

/// Builds an example; returns its program.
pub(crate) fn example(cargo: &mut Command, name: &str) -> Result<PathBuf> {
    cargo.arg("--message-format=json-render-diagnostics");
    let messages = artifacts(cargo)?;
    let built = messages.iter().find(|message| message["target"]["name"] == name);
    let program = built.and_then(|message| message["executable"].as_str());
    program.map(PathBuf::from).with_context(|| format!("cargo built no example `{name}`"))
}

/// Runs a build; its messages about what was built.
fn artifacts(command: &mut Command) -> Result<Vec<Value>> {
    let output = process::read(command.stdout(Stdio::piped()))?;
    let mut messages = Vec::new();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("cargo's message is no JSON")?;
        if message["reason"] == "compiler-artifact" {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn lay_out(artifacts: &Artifacts, folder: &Path) -> Result<Dist> {
    let providers = folder.join("providers");
    private_folder(folder)?;
    private_folder(&providers)?;
    let binary = install(&artifacts.binary, folder)?;
    let mut installed = Vec::new();
    for plugin in &artifacts.plugins {
        installed.push(install(plugin, &providers)?);
    }
    // Plug-ins of packages that are gone would still be loaded.
    for old in plugins(&providers)?.iter().filter(|plugin| !installed.contains(plugin)) {
        fs::remove_file(old).with_context(doing("remove", old))?;
    }
    Ok(Dist { binary, providers })
}

/// Copies a file into a folder, readable by all and writable by its owner only. A file of that name
/// may be running: it is replaced, not written to.
fn install(from: &Path, folder: &Path) -> Result<PathBuf> {
    let name = from.file_name().with_context(|| format!("{} has no name", from.display()))?;
    let to = folder.join(name);
    let temporary = folder.join(format!(".{}.new", name.to_string_lossy()));
    fs::copy(from, &temporary).with_context(doing("copy to", &temporary))?;
    protect(&temporary)?;
    fs::rename(&temporary, &to).with_context(doing("put in place", &to))?;
    Ok(to)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_laid_out_is_writable_by_its_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let built = scratch.path().join("built");
        fs::create_dir(&built).unwrap();
        for name in ["sitesync", "libone.so", "libtwo.so"] {
            fs::write(built.join(name), name).unwrap();
            // As a umask of 0002 leaves it.
            fs::set_permissions(built.join(name), Permissions::from_mode(0o775)).unwrap();
        }
        let folder = scratch.path().join("dist");
        let providers = folder.join("providers");
        fs::create_dir_all(&providers).unwrap();
        for folder in [&folder, &providers] {
            fs::set_permissions(folder, Permissions::from_mode(0o775)).unwrap();
        }
        fs::write(providers.join("libgone.so"), "old").unwrap();

        let plugins = vec![built.join("libone.so"), built.join("libtwo.so")];
        let artifacts = Artifacts { binary: built.join("sitesync"), plugins };
        let dist = lay_out(&artifacts, &folder).unwrap();

        let laid_out = super::plugins(&dist.providers).unwrap();
        assert_eq!(laid_out, [providers.join("libone.so"), providers.join("libtwo.so")]);
        for path in [&folder, &providers, &dist.binary, &laid_out[0], &laid_out[1]] {
            assert_eq!(mode(path), 0o755, "{}", path.display());
        }
    }
}
