//! A bench: two sites in a temporary folder, their settings, and the real binary with the real
//! `local_drive` beside them.
//!
//! Both sites belong to one provider instance, so that files are copied by the provider itself.
//! [`Bench::streamed`] gives the remote site a provider of its own instead (`other_drive`, which is
//! `local_drive` under another name), so that every byte passes through the host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A user that owns nothing.
pub const NOBODY: u32 = 65534;
/// Longer than any run of a test takes; a run that is still there then hangs.
const HANGS: Duration = Duration::from_secs(120);

/// The host's binary and the folder that holds `liblocal_drive.so`, built once a test binary.
fn built() -> &'static (PathBuf, PathBuf) {
    static BUILT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = crate::plugin("local_drive").expect("local_drive builds");
        crate::build(&["sitesync"]).expect("the host builds");
        let folder = library.parent().expect("a folder").to_owned();
        (folder.join("sitesync"), library)
    })
}

/// The content with one text in the place of another of the same length, wherever it stands.
#[must_use]
pub fn patched(mut content: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "the layout of the file must stay");
    let places: Vec<usize> = content
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{from:?} is not there");
    for at in places {
        content[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    content
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Run {
    /// All lines of stdout that are JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last JSON line: the sums of a sync.
    #[must_use]
    pub fn last(&self) -> Value {
        self.lines().pop().unwrap_or(Value::Null)
    }

    /// A number of the last line.
    #[must_use]
    pub fn sum(&self, name: &str) -> u64 {
        self.last()[name].as_u64().unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// What was told of one path: its state and the reason.
    #[must_use]
    pub fn told(&self, path: &str) -> Option<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = self.lines().into_iter().find(|line| line["path"] == path)?;
        Some((text(&line["state"]), text(&line["reason"])))
    }

    /// The reason for which a site was told to be offline.
    #[must_use]
    pub fn offline(&self) -> Option<String> {
        let line = self.lines().into_iter().find(|line| line["state"] == "offline")?;
        line["reason"].as_str().map(str::to_owned)
    }

    /// Asserts the exit code, and returns the run.
    #[must_use]
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts what was transferred and what went wrong.
    #[track_caller]
    pub fn sums(&self, transferred: u64, failed: u64, conflicts: u64) {
        let found = (self.sum("transferred"), self.sum("failed"), self.sum("conflicts"));
        assert_eq!(found, (transferred, failed, conflicts), "{self:#?}");
    }

    /// Asserts that a path was told with a state and words of a reason.
    #[track_caller]
    pub fn tells(&self, path: &str, state: &str, words: &str) {
        let Some((told, reason)) = self.told(path) else { panic!("no word of {path}: {self:#?}") };
        assert!(told == state && reason.contains(words), "{path}: {told}, {reason}\n{self:#?}");
    }
}

/// Something of a site: a digest stands for a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A file: its size and a hash of its content.
    File(u64, u64),
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// Two sites, `here` (active) and `there` (remote), the project `demo` with the root `work`.
#[derive(Debug)]
pub struct Bench {
    folder: TempDir,
    user: Option<u32>,
    /// Another build of the host.
    host: Option<PathBuf>,
}

impl Default for Bench {
    fn default() -> Self {
        Bench::new()
    }
}

/// Lines for the tables of the settings: `("sync", "download = \"all\"")`. A table that the
/// bench does not have by itself is added.
pub type Lines<'a> = &'a [(&'a str, &'a str)];

impl Bench {
    /// Files settle at once and are tried once; everything that is new here goes there.
    #[must_use]
    pub fn new() -> Self {
        Bench::with(&[])
    }

    /// Likewise, with more lines in the settings.
    #[must_use]
    pub fn with(more: Lines<'_>) -> Self {
        let bench = Bench::bare("local_drive");
        bench.settings(more);
        bench
    }

    /// Likewise, with every byte passing through the host.
    #[must_use]
    pub fn streamed(more: Lines<'_>) -> Self {
        let bench = Bench::bare("local_drive");
        let library = fs::read(&built().1).expect("the library");
        bench.plug("other_drive", &patched(library, "local_drive", "other_drive"));
        let mut lines = vec![("provider there", "other_drive")];
        lines.extend_from_slice(more);
        bench.settings(&lines);
        bench
    }

    fn bare(provider: &str) -> Self {
        // Not in a folder that only its owner may enter: some tests run as somebody else.
        let folder = tempfile::Builder::new().prefix("bench-").tempdir().expect("a folder");
        let bench = Bench { folder, user: None, host: None };
        bench.chmod("", 0o755);
        for name in ["here", "there", "providers", "state"] {
            fs::create_dir(bench.path(name)).expect(name);
        }
        bench.chmod("providers", 0o755);
        bench.chmod("state", 0o700);
        bench.plug(provider, &fs::read(&built().1).expect("the library"));
        bench
    }

    /// Puts a file into the plug-in folder, as if it had lain there for a while.
    pub fn plug(&self, name: &str, content: &[u8]) {
        let path = self.path("providers").join(format!("lib{name}.so"));
        fs::write(&path, content).expect("plug");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("chmod");
        age(&path, Duration::from_secs(3600));
    }

    /// Writes the settings anew, with these lines in them.
    pub fn settings(&self, more: Lines<'_>) {
        let there = more
            .iter()
            .find(|(table, _)| *table == "provider there")
            .map_or("local_drive", |(_, provider)| *provider);
        let mut tables: Vec<(&str, String)> = vec![
            ("", String::new()),
            (
                "sync",
                "active_site = \"here\"\nremote_site = \"there\"\nsettle = \"0s\"\n\
                 retry_count = 1\n"
                    .into(),
            ),
            ("sites.here", "provider = \"local_drive\"\nroot.work = \"DIR/here\"\n".into()),
            ("sites.there", format!("provider = \"{there}\"\nroot.work = \"DIR/there\"\n")),
            ("projects.demo", String::new()),
        ];
        for (table, line) in more.iter().filter(|(table, _)| *table != "provider there") {
            // A later line for the same key takes the place of the bench's own.
            let key = line.split('=').next().unwrap_or_default();
            match tables.iter_mut().find(|(name, _)| name == table) {
                Some((_, text)) => {
                    let kept: Vec<&str> =
                        text.lines().filter(|l| l.split('=').next() != Some(key)).collect();
                    *text = kept.into_iter().map(|l| format!("{l}\n")).collect();
                    text.push_str(&format!("{line}\n"));
                }
                None => tables.push((table, format!("{line}\n"))),
            }
        }
        let text = tables.into_iter().fold(String::new(), |all, (table, text)| {
            let head = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
            all + &head + &text
        });
        self.settings_text(&text);
    }

    /// Writes the settings as they are given; `DIR` stands for the bench's folder.
    pub fn settings_text(&self, text: &str) {
        let text = text.replace("DIR", &self.folder.path().display().to_string());
        fs::write(self.path("sitesync.toml"), text).expect("settings");
        self.chmod("sitesync.toml", 0o644);
    }

    /// A path in the bench's folder.
    #[must_use]
    pub fn path(&self, beneath: &str) -> PathBuf {
        if beneath.is_empty() {
            self.folder.path().to_owned()
        } else {
            self.folder.path().join(beneath)
        }
    }

    /// Writes a file that has been quiet for an hour, with its folders.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, content).expect("write");
        age(&path, Duration::from_secs(3600));
    }

    /// A file's content, if it is there.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<String> {
        let content = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// A file's content as it is.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).expect("a file")
    }

    /// Removes a file, or a folder with all that is in it.
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.expect("remove");
    }

    /// Renames a file or folder within the bench.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("rename");
    }

    /// Changes permissions.
    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), PermissionsExt::from_mode(mode)).expect("chmod");
    }

    /// Hands the sites, the state folder and everything in them to another user, as whom the
    /// binary runs from now on. False, with the reason printed, where that can't be done.
    pub fn becomes(&mut self, user: u32) -> bool {
        let root = fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
        let tool = Command::new("setpriv").arg("--version").output();
        if !root || tool.is_err() {
            println!("skipped: needs root and `setpriv` to run the binary as another user");
            return false;
        }
        let status = Command::new("chown")
            .args(["-R", &format!("{user}:{user}")])
            .args(["here", "there", "state"].map(|name| self.path(name)))
            .status();
        assert!(status.is_ok_and(|status| status.success()), "chown");
        self.user = Some(user);
        true
    }

    /// Runs another build of the host from now on.
    #[must_use]
    pub fn host(mut self, binary: PathBuf) -> Self {
        self.host = Some(binary);
        self
    }

    /// The binary with these arguments, not yet run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = self.host.as_ref().unwrap_or(&built().0);
        let mut command = match self.user {
            None => Command::new(binary),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([
                    &format!("--reuid={user}"),
                    &format!("--regid={user}"),
                    "--clear-groups",
                ]);
                command.arg(binary);
                command
            }
        };
        command.arg("--config").arg(self.path("sitesync.toml"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--plugins").arg(self.path("providers"));
        command.args(arguments);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.as_bytes().starts_with(b"SITESYNC_")) {
            command.env_remove(name);
        }
        command.env_remove("RUST_LOG");
        command.env("HOME", self.path(""));
        command.current_dir(self.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        wait(self.start(arguments))
    }

    /// Starts the binary, and leaves it to the test.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary starts")
    }

    /// Starts the service, and waits until it takes orders.
    #[must_use]
    pub fn serve(&self) -> Service {
        let service = Service::of(self.start(&["serve"]));
        until("its door is open", || UnixStream::connect(self.path("state/door")).is_ok());
        service
    }

    /// One pass over all projects.
    #[must_use]
    pub fn sync(&self) -> Run {
        self.run(&["sync", "--json"])
    }

    /// How many files of the project `demo` a site has in each state.
    #[must_use]
    pub fn counts(&self, site: &str) -> BTreeMap<String, u64> {
        self.counts_of("demo", site)
    }

    /// How many files of a project a site has in each state.
    #[must_use]
    pub fn counts_of(&self, project: &str, site: &str) -> BTreeMap<String, u64> {
        let status = self.run(&["status", project, "--json"]).ends(0).last();
        let counts = status["projects"][0]["counts"].as_array().cloned().unwrap_or_default();
        counts
            .into_iter()
            .filter(|count| count["site"] == site)
            .map(|count| {
                let state = count["state"].as_str().unwrap_or_default().to_owned();
                (state, count["files"].as_u64().unwrap_or_default())
            })
            .collect()
    }

    /// Everything at a site but what is sitesync's own, by path.
    #[must_use]
    pub fn tree(&self, site: &str) -> BTreeMap<OsString, Thing> {
        let (root, mut tree) = (self.path(site), BTreeMap::new());
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(root.join(&folder)).expect("a site's folder") {
                let entry = entry.expect("an entry");
                if entry.file_name().as_bytes().starts_with(b".sitesync") {
                    continue;
                }
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().expect("a kind");
                let thing = if kind.is_dir() {
                    left.push(path.clone());
                    Thing::Folder
                } else if kind.is_file() {
                    digest(&root.join(&path))
                } else {
                    Thing::Other
                };
                tree.insert(path.into_os_string(), thing);
            }
        }
        tree
    }

    /// Asserts that both sites hold the same files with the same content.
    #[track_caller]
    pub fn assert_equal_sites(&self) {
        assert_eq!(self.tree("here"), self.tree("there"));
    }

    /// Names of abandoned temporaries beneath a folder.
    #[must_use]
    pub fn temporaries(&self, site: &str) -> Vec<PathBuf> {
        let (mut found, mut left) = (Vec::new(), vec![self.path(site)]);
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    left.push(entry.path());
                } else if entry.file_name().as_bytes().starts_with(b".sitesync-") {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

/// A process of the binary, killed with the test that began it.
#[derive(Debug)]
pub struct Service(Option<Child>);

impl Service {
    /// Takes over a process that was started.
    #[must_use]
    pub fn of(child: Child) -> Self {
        Service(Some(child))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.0.as_ref().expect("a service"))
    }

    /// Asks it to end, and waits for that.
    #[must_use]
    pub fn end(mut self) -> Run {
        kill_process(self.pid(), Signal::TERM).expect("a signal");
        wait(self.0.take().expect("a service"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the binary's end, and kills it when it hangs.
#[must_use]
pub fn wait(mut child: Child) -> Run {
    fn drain(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
        let mut from = from.expect("piped");
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if started.elapsed() > HANGS {
            let _ = child.kill();
            let _ = child.wait();
            let (out, err) = (out.join().expect("stdout"), err.join().expect("stderr"));
            panic!("the binary hangs\nstdout: {out}\nstderr: {err}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Run {
        code: status.code().unwrap_or(-1),
        stdout: out.join().expect("stdout"),
        stderr: err.join().expect("stderr"),
    }
}

/// Waits until something holds; panics if it never does.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < HANGS, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sets a file's modification time back.
pub fn age(path: &Path, by: Duration) {
    let file = fs::File::open(path).expect("open");
    file.set_modified(SystemTime::now() - by).expect("set the time");
}

fn digest(path: &Path) -> Thing {
    use std::hash::{DefaultHasher, Hasher};
    let mut file = fs::File::open(path).expect("open");
    let (mut hasher, mut size, mut buffer) = (DefaultHasher::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).expect("read");
        if read == 0 {
            return Thing::File(size, hasher.finish());
        }
        hasher.write(&buffer[..read]);
        size += read as u64;
    }
}

/// A file name of these bytes.
#[must_use]
pub fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Something mounted by a test, gone when dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a tmpfs; `None`, with the reason printed, where that can't be done.
    #[must_use]
    pub fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        Mount::by(at, Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(at))
    }

    /// Shows a folder at another place too, as the disk that it lies on.
    #[must_use]
    pub fn bind(from: &Path, at: &Path) -> Option<Self> {
        Mount::by(at, Command::new("mount").arg("--bind").args([from, at]))
    }

    /// Takes it away, whoever still uses it, and fails if that can't be done.
    pub fn detach(self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "umount {}", self.0.display());
        // Whatever is mounted there from now on is another's.
        std::mem::forget(self);
    }

    /// Mounts an image of a file system of this kind, made by `mkfs` (a command and its
    /// arguments).
    #[must_use]
    pub fn image(at: &Path, image: &Path, mkfs: &[&str], options: &str) -> Option<Self> {
        let file = fs::File::create(image).expect("an image");
        file.set_len(64 << 20).expect("its size");
        let made = Command::new(mkfs[0]).args(&mkfs[1..]).arg(image).output();
        if !made.is_ok_and(|made| made.status.success()) {
            println!("skipped: `{}` can't be run (install its package)", mkfs[0]);
            return None;
        }
        let options = format!("loop,{options}");
        Mount::by(at, Command::new("mount").args(["-o", &options]).arg(image).arg(at))
    }

    fn by(at: &Path, command: &mut Command) -> Option<Self> {
        match command.output() {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                println!("skipped: no mount (root only, and as the kernel has it): {}", why.trim());
                None
            }
            Err(error) => {
                println!("skipped: `mount` can't be run: {error}");
                None
            }
        }
    }

    /// Mounts it anew with other options.
    pub fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "remount with {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
