//! `cargo xtask demo`: the real program, on two folders that stand for two sites.
//!
//! ```text
//! target/demo/sitesync        the program
//! target/demo/providers/      its plug-ins
//! target/demo/sitesync.toml   its settings
//! target/demo/state/          its catalog
//! target/demo/studio/demo/    project `demo` at site `studio`,
//! target/demo/artist/demo/    and at site `artist`
//! ```

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::digest::{self, Summary};
use crate::dist::{self, Dist};
use crate::process::{self, doing};
use crate::random::Contents;
use crate::workspace::Workspace;

/// What the studio has published: paths and sizes.
const STUDIO: [(&str, u64); 9] = [
    ("assets/robot/publish/modelMain/v001/robot_modelMain_v001.abc", 3 << 20),
    ("assets/robot/publish/lookMain/v002/robot_lookMain_v002.ma", 40_000),
    ("assets/robot/publish/lookMain/v002/resources/eyes color.1001.tx", 700_000),
    ("assets/čert & anděl/publish/rigMain/v001/čert_rigMain_v001.ma", 12_345),
    ("assets/たぬき/publish/modelMain/v001/たぬき.abc", 65_537),
    ("edit/publish/reviewMain/v003/cut_reviewMain_v003.mov", 40 << 20),
    ("edit/publish/reviewMain/v003/final FINAL 🎬.txt", 17),
    ("shots/sq01/publish/cacheMain/v001/sq01_empty.vdb", 0),
    ("shots/sq01/publish/cacheMain/v001/o'clock [1] #50%.vdb", 250_000),
];
/// What the artist has, and the studio has not yet.
const ARTIST: [(&str, u64); 1] =
    [("shots/sq01/publish/animMain/v001/sq01_animMain_v001.ma", 90_000)];
const FRAMES: std::ops::Range<u64> = 1001..1025;
const FRAME: u64 = 1 << 20;

/// `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave the service running, in the foreground, to try things out
    #[arg(long)]
    keep_running: bool,
}

/// Builds, lays out, syncs, checks, and tells about it. An error if anything is not as promised.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let demo = Demo::lay_out(workspace)?;
    let [studio, artist] = demo.digests()?;
    println!("Laid out {}", demo.folder.display());
    println!("  studio: {} files, {} bytes", studio.files, studio.bytes);
    println!("  artist: {} files, {} bytes", artist.files, artist.bytes);

    demo.needs_its_plugin()?;
    println!("\nWithout plug-ins `sitesync sync` fails, and nothing moves, as it must.\n");
    demo.tells_of_its_plugin()?;

    println!("\n$ sitesync sync");
    process::run(demo.sitesync().arg("sync"))?;
    let [studio_after, artist_after] = demo.digests()?;
    ensure!(
        studio_after == artist_after && studio_after.files == studio.files + artist.files,
        "the sites are not equal:\n  studio: {}\n  artist: {}",
        describe(&studio_after),
        describe(&artist_after)
    );
    println!("\nBoth sites hold the same {}.", describe(&studio_after));

    let again = demo.sync_again()?;
    println!("A second sync had nothing to do: {again}");

    if arguments.keep_running {
        return demo.serve();
    }
    println!("\nTo try it on, with the service running: cargo xtask demo --keep-running");
    Ok(())
}

/// A laid-out demo.
#[derive(Debug)]
struct Demo {
    folder: PathBuf,
    dist: Dist,
    settings: PathBuf,
    state: PathBuf,
    /// The project at the studio, and at the artist's.
    sites: [PathBuf; 2],
}

impl Demo {
    /// Builds, and lays everything out afresh.
    fn lay_out(workspace: &Workspace) -> Result<Self> {
        let built = dist::build(workspace, true)?;
        let folder = workspace.target.join("demo");
        process::remove_folder(&folder)?;
        let dist = dist::copy(&built, &folder)?;
        let demo = Demo {
            dist,
            settings: folder.join("sitesync.toml"),
            state: folder.join("state"),
            sites: ["studio", "artist"].map(|site| folder.join(site).join("demo")),
            folder,
        };
        demo.write_settings()?;
        demo.publish()?;
        Ok(demo)
    }

    fn write_settings(&self) -> Result<()> {
        let [studio, artist] = ["studio", "artist"].map(|site| {
            toml_path(&self.folder.join(site)).map(|path| format!("{path}/{{project}}"))
        });
        let text = format!(
            r#"[sync]
loop_delay = "2s"
rescan = "2s"
settle = "0s"
active_site = "studio"
remote_site = "artist"
upload = "all"
download = "all"

[sites.studio]
provider = "local_drive"
root.work = "{}"

[sites.artist]
provider = "local_drive"
root.work = "{}"

[projects.demo]
"#,
            studio?, artist?
        );
        fs::write(&self.settings, text).with_context(doing("write", &self.settings))?;
        dist::protect(&self.settings)
    }

    fn publish(&self) -> Result<()> {
        let contents = Contents::new();
        let mut salt = 0;
        let mut write = |path: PathBuf, size| {
            salt += 1;
            contents.write(&path, size, salt)
        };
        let [studio, artist] = &self.sites;
        for (path, size) in STUDIO {
            write(studio.join(path), size)?;
        }
        for frame in FRAMES {
            let name =
                format!("shots/sq01/publish/renderMain/v001/sq01_renderMain_v001.{frame}.exr");
            write(studio.join(name), FRAME)?;
        }
        for (path, size) in ARTIST {
            write(artist.join(path), size)?;
        }
        Ok(())
    }

    fn digests(&self) -> Result<[Summary; 2]> {
        let [studio, artist] = &self.sites;
        Ok([digest::of_folder(studio)?, digest::of_folder(artist)?])
    }

    /// A call of the program with the demo's settings, state and plug-ins.
    fn sitesync(&self) -> Command {
        self.sitesync_with(&self.state, &self.dist.providers)
    }

    fn sitesync_with(&self, state: &Path, providers: &Path) -> Command {
        let mut command = Command::new(&self.dist.binary);
        command.stdin(Stdio::null()).arg("--config").arg(&self.settings);
        command.arg("--state-dir").arg(state).arg("--plugins").arg(providers);
        command
    }

    /// Checks that nothing works without the plug-in folder: the program has no provider in itself,
    /// and finds none elsewhere.
    fn needs_its_plugin(&self) -> Result<()> {
        let [providers, state] =
            ["no-providers", "no-providers-state"].map(|name| self.folder.join(name));
        dist::private_folder(&providers)?;
        let before = self.digests()?;
        let output = self
            .sitesync_with(&state, &providers)
            .arg("sync")
            .output()
            .context("cannot start sitesync")?;
        ensure!(!output.status.success(), "`sitesync sync` without any plug-in succeeded");
        ensure!(self.digests()? == before, "`sitesync sync` without any plug-in moved files");
        process::remove_folder(&providers)?;
        process::remove_folder(&state)
    }

    /// Checks that the program has loaded the plug-in from the demo's folder, with the content that
    /// was put there, and says so.
    fn tells_of_its_plugin(&self) -> Result<()> {
        let output = process::read(self.sitesync().args(["providers", "--json"]))?;
        // A line for each plug-in.
        let told: Vec<Value> =
            output
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()
                .with_context(|| format!("`sitesync providers --json` prints no JSON: {output}"))?;
        let plugins = dist::plugins(&self.dist.providers)?;
        for plugin in plugins {
            let path = plugin.to_string_lossy();
            let Some(report) = told.iter().find(|report| report["path"] == *path) else {
                bail!("`sitesync providers` does not know {path}:\n{output}");
            };
            let stage = report["stage"].as_str().unwrap_or_default();
            ensure!(stage == "loaded", "{} is `{stage}`, not loaded: {report:#}", plugin.display());
            let digest = digest::of_file(&plugin)?;
            ensure!(
                report["sha256"] == digest.as_str(),
                "{} is not what was loaded: {report:#}",
                plugin.display()
            );
            let name = report["name"].as_str().unwrap_or_default();
            println!("Provider `{name}` was loaded from {}.", plugin.display());
        }
        Ok(())
    }

    /// Syncs once more, and checks that nothing was left to do; returns the program's last line.
    fn sync_again(&self) -> Result<String> {
        let output = process::read(self.sitesync().args(["sync", "--json"]))?;
        let line = output.lines().last().unwrap_or_default().to_owned();
        let told: Value = serde_json::from_str(&line)
            .with_context(|| format!("`sitesync sync --json` ends without JSON: {output}"))?;
        for key in ["transferred", "failed", "conflicts"] {
            ensure!(told[key] == 0, "the second sync was not idle: {line}");
        }
        Ok(line)
    }

    /// Becomes the service.
    fn serve(&self) -> Result<()> {
        let [studio, artist] = &self.sites;
        let mut serve = self.sitesync();
        println!(
            "\nThe service runs until Ctrl-C. Meanwhile, elsewhere:\n  \
             echo hello > {}\n  ls -l {}\n  {} queue demo\n",
            quoted(&studio.join("hello.txt")),
            quoted(artist),
            [quoted(Path::new(serve.get_program()))]
                .into_iter()
                .chain(serve.get_args().map(|word| quoted(Path::new(word))))
                .collect::<Vec<_>>()
                .join(" "),
        );
        Err(serve.arg("serve").exec()).context("cannot start sitesync")
    }
}

fn describe(summary: &Summary) -> String {
    let Summary { files, bytes, digest } = summary;
    format!("{files} files, {bytes} bytes (SHA-256 {})", &digest[..16])
}

/// A path as the inside of a TOML string, in which `{` begins a variable.
pub(crate) fn toml_path(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    // What JSON escapes, TOML reads the same way.
    let quoted = Value::from(text.replace('{', "{{")).to_string();
    Ok(quoted[1..quoted.len() - 1].to_owned())
}

/// A path as a word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_toml_and_shells() {
        assert_eq!(toml_path(Path::new("/a b/{c}\"\\")).unwrap(), r#"/a b/{{c}\"\\"#);
        assert_eq!(quoted(Path::new("/a/b-1")), "/a/b-1");
        assert_eq!(quoted(Path::new("/a b/o'c")), r"'/a b/o'\''c'");
    }
}
