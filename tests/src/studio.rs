//! A studio on a bench: two sites on disk, settings, a state folder, the real binary with the real
//! `local_drive`, all in one temporary folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sitesync::catalog::{FileRow, FolderId, Sqlite};
use tempfile::TempDir;

/// The project of every bench.
pub const PROJECT: &str = "demo";

/// What a studio is set up with.
#[derive(Debug, Clone)]
pub struct Setup {
    sync: BTreeMap<&'static str, String>,
    remote: &'static str,
    remote_root: Option<String>,
    remote_lines: String,
    extra: String,
    under: Option<PathBuf>,
}

impl Default for Setup {
    /// Everything travels both ways, as soon as it is seen.
    fn default() -> Self {
        let setup = Setup {
            sync: BTreeMap::new(),
            remote: "local_drive",
            remote_root: None,
            remote_lines: String::new(),
            extra: String::new(),
            under: None,
        };
        setup.settle("0s").upload("all").download("all")
    }
}

impl Setup {
    /// How long a file must have been quiet.
    #[must_use]
    pub fn settle(self, duration: &str) -> Self {
        self.text("settle", duration)
    }

    /// What travels to `remote`: `all` or `requested`.
    #[must_use]
    pub fn upload(self, what: &str) -> Self {
        self.text("upload", what)
    }

    /// What travels to `studio`.
    #[must_use]
    pub fn download(self, what: &str) -> Self {
        self.text("download", what)
    }

    /// How often the service scans the studio.
    #[must_use]
    pub fn loop_delay(self, duration: &str) -> Self {
        self.text("loop_delay", duration)
    }

    /// How often a file is tried.
    #[must_use]
    pub fn retry_count(mut self, tries: u32) -> Self {
        self.sync.insert("retry_count", tries.to_string());
        self
    }

    /// How many files a pass may overwrite; 0 for any number.
    #[must_use]
    pub fn max_change(mut self, files: u32) -> Self {
        self.sync.insert("max_change", files.to_string());
        self
    }

    /// Any other key of `[sync]` with a text as its value.
    #[must_use]
    pub fn text(mut self, key: &'static str, value: &str) -> Self {
        self.sync.insert(key, format!("{value:?}"));
        self
    }

    /// The remote site's provider: with another than `local_drive`, files are streamed.
    #[must_use]
    pub fn remote(mut self, provider: &'static str) -> Self {
        self.remote = provider;
        self
    }

    /// The remote site's root, where it is no folder of this studio.
    #[must_use]
    pub fn remote_root(mut self, root: &str) -> Self {
        self.remote_root = Some(root.to_owned());
        self
    }

    /// A further line in the table of the remote site.
    #[must_use]
    pub fn remote_line(mut self, line: &str) -> Self {
        self.remote_lines.push_str(line);
        self.remote_lines.push('\n');
        self
    }

    /// Further settings, word for word.
    #[must_use]
    pub fn extra(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self
    }

    /// Builds it in a folder of a file system of one's choice.
    #[must_use]
    pub fn under(mut self, folder: &Path) -> Self {
        self.under = Some(folder.to_owned());
        self
    }

    /// Lays everything out.
    pub fn build(self) -> Result<Studio> {
        let folder = match &self.under {
            Some(under) => TempDir::new_in(under)?,
            None => TempDir::new()?,
        };
        let studio = Studio { program: program()?.to_owned(), folder };
        for folder in [studio.studio(), studio.remote(), studio.plugins()] {
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        }
        studio.plug_in("local_drive")?;
        // What is none of this workspace is put there by the test itself.
        if ["gdrive", "misbehaving"].contains(&self.remote) {
            studio.plug_in(self.remote)?;
        }
        let mut toml = "[sync]\n".to_owned();
        for (key, value) in &self.sync {
            writeln!(toml, "{key} = {value}")?;
        }
        let [here, there] =
            [studio.studio(), studio.remote()].map(|root| root.display().to_string());
        let there = self.remote_root.unwrap_or(there);
        let sites = [("studio", "local_drive", here), ("remote", self.remote, there)];
        for (site, provider, root) in sites {
            writeln!(toml, "[sites.{site}]\nprovider = {provider:?}\nroot.work = {root:?}")?;
        }
        toml.push_str(&self.remote_lines);
        writeln!(
            toml,
            "[projects.{PROJECT}]\nactive_site = \"studio\"\nremote_site = \"remote\"\n{}",
            self.extra
        )?;
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(studio.settings())?;
        std::io::Write::write_all(&mut file, toml.as_bytes())?;
        Ok(studio)
    }
}

/// Two sites, and a host that has not run yet. Gone when dropped.
#[derive(Debug)]
pub struct Studio {
    program: PathBuf,
    folder: TempDir,
}

impl Studio {
    /// With the default [`Setup`].
    pub fn new() -> Result<Self> {
        Setup::default().build()
    }

    /// Leaves everything where it is, to be looked at.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// The folder of it all.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The root of the active site.
    #[must_use]
    pub fn studio(&self) -> PathBuf {
        self.path().join("studio")
    }

    /// The root of the remote site.
    #[must_use]
    pub fn remote(&self) -> PathBuf {
        self.path().join("remote")
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The plug-in folder.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.path().join("sitesync.toml")
    }

    /// Puts a plug-in of this workspace into the plug-in folder.
    pub fn plug_in(&self, name: &str) -> Result<()> {
        let library =
            if name == "local_drive" { built_local_drive()? } else { crate::plugin(name)? };
        let copy = self.plugins().join(format!("lib{name}.so"));
        fs::copy(library, &copy)?;
        Ok(fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?)
    }

    /// Writes a file at a root, and the folders above it.
    pub fn write(&self, root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
        let file = root.join(path);
        fs::create_dir_all(file.parent().context("a path with a parent")?)?;
        fs::write(&file, bytes).with_context(|| file.display().to_string())
    }

    /// The binary with the global options of this studio, to be given a command.
    #[must_use]
    pub fn command(&self) -> Command {
        self.through(&[])
    }

    /// Likewise, run through another program (`strace` and its options).
    #[must_use]
    pub fn through(&self, wrapper: &[String]) -> Command {
        let mut command = match wrapper {
            [] => Command::new(&self.program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        command.arg("--config").arg(self.settings());
        command.arg("--state-dir").arg(self.state());
        command.arg("--plugins").arg(self.plugins());
        // Nothing of the one who runs the tests may reach it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SITESYNC_") {
                command.env_remove(name);
            }
        }
        command.env("RUST_BACKTRACE", "1").current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        self.start(self.command().args(arguments))?.wait()
    }

    /// Syncs once.
    pub fn sync(&self) -> Result<Outcome> {
        self.run(&["sync", "--json"])
    }

    /// Begins to sync.
    pub fn spawn_sync(&self) -> Result<Running> {
        self.start(self.command().args(["sync", "--json"]))
    }

    /// Begins to serve.
    pub fn spawn_serve(&self) -> Result<Running> {
        self.start(self.command().arg("serve"))
    }

    /// Starts a command whose output is kept in files: it never blocks on a full pipe.
    pub fn start(&self, command: &mut Command) -> Result<Running> {
        let stdout = tempfile::NamedTempFile::new_in(self.path())?;
        let stderr = tempfile::NamedTempFile::new_in(self.path())?;
        // A group of its own: what strace traces would outlive strace.
        let command = command.process_group(0);
        let child = command.stdout(stdout.reopen()?).stderr(stderr.reopen()?).spawn()?;
        Ok(Running { child, stdout, stderr })
    }

    /// What `status --json` says.
    pub fn status(&self) -> Result<Value> {
        let outcome = self.run(&["status", "--json"])?;
        ensure!(outcome.code == Some(0), "{outcome:?}");
        outcome.lines.into_iter().next().context("status says nothing")
    }

    /// Files by site and state, as `status` counts them.
    pub fn catalog_states(&self) -> Result<BTreeMap<(String, String), u64>> {
        let status = self.status()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let counts = status["projects"][0]["counts"].as_array().context("no counts")?;
        Ok(counts
            .iter()
            .map(|c| ((text(&c["site"]), text(&c["state"])), c["files"].as_u64().unwrap_or(0)))
            .collect())
    }

    /// The catalog as it is now, file by file, beside whoever works on it. Empty before the first
    /// sync.
    pub fn catalog(&self) -> Result<CatalogFiles> {
        read_catalog(&self.state())
    }

    /// The catalog as a dead process left it. A copy is read: to open the files themselves would
    /// repair them before the host has to.
    pub fn catalog_left_behind(&self) -> Result<CatalogFiles> {
        let copy = TempDir::new_in(self.path())?;
        for name in ["catalog.db", "catalog.db-wal"] {
            match fs::copy(self.state().join(name), copy.path().join(name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => drop(done?),
            }
        }
        read_catalog(copy.path())
    }
}

/// Every file of the catalog, by its path beneath the root.
#[derive(Debug, Default)]
pub struct CatalogFiles {
    /// Keys of the two sites, as far as they are known.
    pub studio: Option<sitesync::catalog::SiteId>,
    /// Likewise.
    pub remote: Option<sitesync::catalog::SiteId>,
    /// The files.
    pub files: BTreeMap<String, FileRow>,
}

fn read_catalog(folder: &Path) -> Result<CatalogFiles> {
    let catalog = match Sqlite::open_read_only(folder) {
        Ok(catalog) => catalog,
        Err(sitesync::catalog::Error::Missing { .. }) => return Ok(CatalogFiles::default()),
        Err(error) => bail!("the catalog can't be read: {error}"),
    };
    let read = catalog.read(|view| {
        let (studio, remote) = (view.site("studio")?, view.site("remote")?);
        let mut found = CatalogFiles { studio, remote, ..CatalogFiles::default() };
        let Some(project) = view.project(PROJECT)? else { return Ok(found) };
        let Some(root) = view.root(project, "work")? else { return Ok(found) };
        let folders = view.folders(root, FolderId(0), usize::from(u16::MAX))?;
        for (_, folder) in folders {
            for row in view.folder(root, &folder)?.files {
                let slash = if folder.is_empty() { "" } else { "/" };
                found.files.insert(format!("{folder}{slash}{}", row.name), row);
            }
        }
        Ok(found)
    });
    Ok(read?)
}

/// A command under way. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True as long as it runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// kill -9. False if it had ended by itself.
    pub fn kill(&mut self) -> Result<bool> {
        self.child.kill()?;
        let status = self.child.wait()?;
        Ok(status.code().is_none())
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        Ok(rustix::process::kill_process(self.id()?, Signal::TERM)?)
    }

    fn id(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> Result<String> {
        text(self.stderr.path())
    }

    /// Waits for its end, two minutes at most.
    pub fn wait(self) -> Result<Outcome> {
        self.wait_for(Duration::from_secs(120))
    }

    /// Waits for its end.
    pub fn wait_for(mut self, limit: Duration) -> Result<Outcome> {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if started.elapsed() > limit {
                bail!("it does not end: {}", self.stderr()?);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Outcome::new(status, text(self.stdout.path())?, self.stderr()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it was waited for, its number may be another's.
        if let (Ok(None), Ok(group)) = (self.child.try_wait(), self.id()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a command came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The JSON lines of stdout.
    pub lines: Vec<Value>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Outcome {
    fn new(status: ExitStatus, stdout: String, stderr: String) -> Result<Self> {
        let lines = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Outcome { code: status.code(), lines, stdout, stderr })
    }

    /// The sums of `sync --json`: its last line.
    #[must_use]
    pub fn sums(&self) -> &Value {
        self.lines.last().unwrap_or(&Value::Null)
    }

    /// One of the sums.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<u64> {
        self.sums()[name].as_u64()
    }
}

/// Size and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summed {
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Summed {
    /// Those of a content.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        Summed { size: bytes.len() as u64, sha256 }
    }
}

/// Every file beneath a folder, by its path, but what is sitesync's own.
pub fn digest(tree: &Path) -> Result<BTreeMap<String, Summed>> {
    let mut sums = BTreeMap::new();
    for path in files(tree)? {
        if !is_ours(&path) {
            let bytes = fs::read(tree.join(&path))?;
            sums.insert(path, Summed::of(&bytes));
        }
    }
    Ok(sums)
}

/// Temporaries of sitesync beneath a folder.
pub fn temporaries(tree: &Path) -> Result<Vec<String>> {
    Ok(files(tree)?.into_iter().filter(|path| is_ours(path) && path.ends_with(".tmp")).collect())
}

/// True for what is beneath or beside a user's files and is sitesync's own.
#[must_use]
pub fn is_ours(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(".sitesync"))
}

/// Paths of all files beneath a folder, also while others change it.
pub fn files(tree: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(tree.join(&folder)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(_) => found.push(path.to_string_lossy().into_owned()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The fingerprint that `local_drive` gives to a file, `None` if there is none.
pub fn fingerprint(file: &Path) -> Result<Option<String>> {
    match fs::symlink_metadata(file) {
        Ok(stat) => {
            let ctime = i128::from(stat.ctime()) * 1_000_000_000 + i128::from(stat.ctime_nsec());
            Ok(Some(format!("{:x}.{ctime:x}.{:x}", stat.ino(), stat.size())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks again and again until there is an answer; after the deadline, fails with what was awaited.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// True if strace is there and may trace; says why not.
#[must_use]
pub fn can_trace() -> bool {
    let why = match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("skipped: strace can't be used: {why}");
    false
}

/// The binary, built once a test binary together with `local_drive`, in the profile of the test.
pub fn program() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        // Cargo's own lock keeps test binaries that run side by side from disturbing one another.
        crate::build(&["sitesync", "local_drive"])
            .and_then(|()| Ok(crate::profile_folder()?.join("sitesync")))
            .map_err(|error| format!("{error:#}"))
    });
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn built_local_drive() -> Result<PathBuf> {
    program()?;
    Ok(crate::profile_folder()?.join("liblocal_drive.so"))
}
