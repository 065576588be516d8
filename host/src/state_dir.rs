//! The state folder: what a host keeps on its own disk between runs.
//!
//! The catalog, the lock that keeps two hosts from working on one folder, and this machine's
//! site id live here. Only their owner may change them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

const LOCK: &str = "lock";
/// The file with this machine's site id: `id=...` is its first line.
pub const SITE_ID: &str = "site-id";
/// Where machine-id(5) and older D-Bus installations keep the machine's id.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// A state folder that exists and is private enough.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

/// The right to work on a state folder. Ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Why the state folder can't be used. `Display` says where, what, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Something else has that name.
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// Others could change what the host trusts.
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process works on it.
    Held {
        /// The folder.
        path: PathBuf,
        /// That process, if it said so.
        pid: Option<u32>,
        /// Since when: RFC 3339, UTC.
        since: Option<String>,
    },
    /// The system refused.
    Io {
        /// What was to be done: `make`, `read` ...
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// What the state folder answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotAFolder { path } => write!(
                f,
                "the state folder {} is not a folder; name another one with --state-dir",
                path.display()
            ),
            Error::Exposed { path, mode } => write!(
                f,
                "others can write to the state folder {path} (mode {mode:o}); run `chmod go-w \
                 '{path}'`",
                path = path.display()
            ),
            Error::Held { path, pid, since } => {
                f.write_str("another sitesync")?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                write!(f, " works on the state folder {}", path.display())?;
                if let Some(since) = since {
                    write!(f, " since {since}")?;
                }
                f.write_str("; stop it, or name another folder with --state-dir")
            }
            Error::Io { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        "; run sitesync as the owner of the state folder, or name another one with \
                         --state-dir"
                    ),
                    io::ErrorKind::StorageFull => f.write_str("; free some space"),
                    _ => f.write_str("; name another state folder with --state-dir"),
                }
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Says what was being done when the system refused.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}

/// Tries for the lock, and the pause between two: long enough for a look to be over.
const LOOKS: u32 = 5;
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Who works on a state folder at this moment: the process id and since when, as far as told.
/// `None` if nobody does, or there is no such folder.
#[must_use]
pub fn holder(folder: &Path) -> Option<(u32, String)> {
    let mut file = fs::File::open(folder.join(LOCK)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {
            let (pid, since) = holder_in(&mut file);
            Some((pid?, since.unwrap_or_default()))
        }
        _ => None,
    }
}

/// What a holder wrote into its lock file. It is only told on; unreadable, it is left out.
fn holder_in(file: &mut fs::File) -> (Option<u32>, Option<String>) {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let pid = field(&text, "pid").and_then(|pid| pid.parse().ok());
    (pid, field(&text, "since").map(str::to_owned))
}

/// This machine's site id as the state folder keeps it; `None` if there is none yet, or it cannot
/// be read. Makes nothing.
#[must_use]
pub fn kept_site_id(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(SITE_ID)).ok()?;
    field(&text, "id").filter(|id| plausible(id)).map(str::to_owned)
}

impl StateDir {
    /// Opens a state folder; makes it, readable for its owner only.
    pub fn open(path: &Path) -> Result<Self> {
        match DirBuilder::new().recursive(true).mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::NotAFolder { path: path.to_owned() });
            }
            made => made.map_err(failed("make", path))?,
        }
        let mode = fs::metadata(path).map_err(failed("look at", path))?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(Error::Exposed { path: path.to_owned(), mode: mode & 0o7777 });
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the right to work on this folder, or tells at once who has it ([`Error::Held`]).
    pub fn lock(&self) -> Result<StateLock> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed("open", &path))?;
        // [`holder`] looks by locking for a moment, which must not be taken for a holder.
        let mut looks = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if looks < LOOKS => {
                    looks += 1;
                    std::thread::sleep(LOOK_PAUSE);
                }
                Err(Errno::WOULDBLOCK) => {
                    let (pid, since) = holder_in(&mut file);
                    return Err(Error::Held { path: self.path.clone(), pid, since });
                }
                Err(error) => return Err(failed("lock", &path)(error.into())),
            }
        }
        let text = format!("pid={}\nsince={}\n", process::id(), rfc3339(SystemTime::now()));
        // The file stays when the lock ends: removing it would let two hosts lock two files.
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(failed("write", &path))?;
        Ok(StateLock { _file: file })
    }

    /// This machine's site id, such as `amber-heron-4f2c`: made once, kept here.
    ///
    /// A folder that arrives on another machine, say in a cloned image, gets a new one: two
    /// machines with one id would take each other's files for their own.
    pub fn site_id(&self) -> Result<String> {
        self.site_id_on(machine().as_deref())
    }

    fn site_id_on(&self, machine: Option<&str>) -> Result<String> {
        let path = self.path.join(SITE_ID);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let id = field(&text, "id").filter(|id| plausible(id));
        let bound = field(&text, "machine");
        match (id, bound, machine) {
            // Without a machine id to compare with, the file is all there is to go by.
            (Some(id), Some(bound), Some(machine)) if bound == machine => Ok(id.to_owned()),
            (Some(id), _, None) => Ok(id.to_owned()),
            (Some(id), None, Some(_)) => {
                let id = id.to_owned();
                self.keep_site_id(&path, &id, machine, true)
            }
            (Some(old), Some(_), Some(_)) => {
                let new = self.keep_site_id(&path, &generate(&path)?, machine, true)?;
                tracing::warn!(%old, %new, "the state folder came from another machine: new site id");
                Ok(new)
            }
            // An unreadable id is as good as none, and in the way of a new one.
            (None, ..) => self.keep_site_id(&path, &generate(&path)?, machine, !text.is_empty()),
        }
    }

    /// Stores a site id whole or not at all. Of two processes that do it at once, one wins, and
    /// both return its id.
    fn keep_site_id(
        &self,
        path: &Path,
        id: &str,
        machine: Option<&str>,
        replace: bool,
    ) -> Result<String> {
        let bound = machine.map_or(String::new(), |machine| format!("machine={machine}\n"));
        if self.store(path, &format!("id={id}\n{bound}"), replace)? {
            return Ok(id.to_owned());
        }
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        Ok(field(&text, "id").unwrap_or(id).to_owned())
    }

    /// The name under which the catalog keeps this machine's site, as [`StateDir::keep_name`] was
    /// last told. A folder that came from another machine has none.
    pub fn name(&self) -> Result<Option<String>> {
        let path = self.path.join(SITE_ID);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(field(&text, "name").map(str::to_owned)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Keeps the name under which the catalog keeps this machine's site, beside its id.
    pub fn keep_name(&self, name: &str) -> Result<()> {
        let path = self.path.join(SITE_ID);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        let others = text.lines().filter(|line| !line.starts_with("name="));
        let mut text: String = others.map(|line| format!("{line}\n")).collect();
        text.push_str(&format!("name={name}\n"));
        self.store(&path, &text, true).map(|_| ())
    }

    /// Stores a file whole or not at all; false if there is one already that is not to be replaced.
    fn store(&self, path: &Path, text: &str, replace: bool) -> Result<bool> {
        let new = self.path.join(format!("{SITE_ID}.{}.new", process::id()));
        let write = || -> io::Result<bool> {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if replace {
                fs::rename(&new, path)?;
            } else {
                let linked = fs::hard_link(&new, path);
                fs::remove_file(&new)?;
                match linked {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                    linked => linked?,
                }
            }
            File::open(&self.path)?.sync_all()?;
            Ok(true)
        };
        write().map_err(failed("write", path))
    }
}

/// The value in a line `key=value`.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let value = |line: &'t str| line.strip_prefix(key)?.strip_prefix('=');
    text.lines().find_map(value).map(str::trim).filter(|value| !value.is_empty())
}

/// True for what may be part of file names and addresses.
fn plausible(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(allowed)
}

/// This machine's id, hashed: machine-id(5) asks not to spread it.
fn machine() -> Option<String> {
    let ids = MACHINE_ID.iter().filter_map(|path| fs::read_to_string(path).ok());
    let id = ids.map(|id| id.trim().to_owned()).find(|id| id.len() >= 32)?;
    let digest = Sha256::digest(format!("sitesync {id}"));
    Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// A new site id: 64 x 64 words and 16 bits, so that a studio's machines hardly ever meet.
fn generate(path: &Path) -> Result<String> {
    let mut random = [0; 4];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(failed("make a random id for", path))?;
    let [first, second, high, low] = random;
    let first = FIRST[usize::from(first) % FIRST.len()];
    let second = SECOND[usize::from(second) % SECOND.len()];
    Ok(format!("{first}-{second}-{high:02x}{low:02x}"))
}

const FIRST: [&str; 64] = [
    "amber", "apricot", "ashen", "azure", "birch", "black", "blue", "brass", "bright", "bronze",
    "brown", "calm", "cedar", "chalk", "cherry", "clear", "cobalt", "copper", "coral", "crimson",
    "dusty", "early", "ebony", "fair", "fern", "flint", "frosty", "gentle", "gold", "granite",
    "green", "grey", "hazel", "indigo", "ivory", "jade", "keen", "late", "lemon", "lilac", "lime",
    "linen", "lucky", "maple", "mellow", "misty", "mossy", "noble", "ochre", "olive", "opal",
    "pale", "pearl", "plain", "quiet", "rapid", "ruby", "russet", "rusty", "sandy", "scarlet",
    "silver", "teal", "violet",
];

const SECOND: [&str; 64] = [
    "ant", "badger", "bat", "bear", "beaver", "bee", "bison", "boar", "cat", "cod", "cow", "crab",
    "crane", "crow", "cub", "deer", "dove", "duck", "eagle", "eel", "elk", "falcon", "finch",
    "fox", "frog", "goat", "goose", "gull", "hare", "hawk", "hen", "heron", "horse", "ibex", "jay",
    "kite", "lark", "lion", "lizard", "lynx", "mole", "moose", "moth", "mouse", "newt", "otter",
    "owl", "ox", "panda", "pike", "pony", "puffin", "quail", "rabbit", "raven", "robin", "seal",
    "sheep", "stork", "swan", "tern", "toad", "trout", "wolf",
];

/// `2026-03-31T12:34:56Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date, by Howard Hinnant's `civil_from_days`: years begin in March, so that the
    // leap day comes last.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, turned) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        era * 400 + year + turned,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    fn dir() -> (tempfile::TempDir, StateDir) {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("a/state")).unwrap();
        (temp, state)
    }

    #[test]
    fn makes_a_private_folder() {
        let (_temp, state) = dir();
        let mode = fs::metadata(state.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        StateDir::open(state.path()).unwrap();
    }

    #[test]
    fn refuses_what_others_can_write_to() {
        let (_temp, state) = dir();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(state.path(), Permissions::from_mode(mode)).unwrap();
            let error = StateDir::open(state.path()).unwrap_err();
            assert!(matches!(error, Error::Exposed { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("`chmod go-w '"), "{error}");
        }
        fs::set_permissions(state.path(), Permissions::from_mode(0o755)).unwrap();
        StateDir::open(state.path()).unwrap();
    }

    #[test]
    fn refuses_a_file() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(StateDir::open(temp.path()), Err(Error::NotAFolder { .. })));
    }

    #[test]
    fn lock_names_its_holder() {
        let (_temp, state) = dir();
        let lock = state.lock().unwrap();
        let error = state.lock().unwrap_err();
        let Error::Held { pid, since, .. } = &error else { panic!("{error}") };
        assert_eq!(*pid, Some(process::id()));
        assert!(since.as_ref().unwrap().ends_with('Z'));
        assert!(error.to_string().contains(&format!("(process {})", process::id())), "{error}");
        drop(lock);
        state.lock().unwrap();
    }

    /// Not a test by itself: what `lock_dies_with_its_process` runs as another process.
    #[test]
    fn hold_lock_for_another_test() {
        if let Ok(path) = std::env::var("SITESYNC_TEST_HOLD_LOCK") {
            let _lock = StateDir::open(Path::new(&path)).unwrap().lock().unwrap();
            println!("\nheld");
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn lock_dies_with_its_process() {
        let (_temp, state) = dir();
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "state_dir::tests::hold_lock_for_another_test"])
            .env("SITESYNC_TEST_HOLD_LOCK", state.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = io::BufReader::new(holder.stdout.take().unwrap());
        assert!(out.lines().map_while(Result::ok).any(|line| line == "held"));
        let error = state.lock().unwrap_err();
        assert!(matches!(error, Error::Held { pid: Some(pid), .. } if pid == holder.id()));
        holder.kill().unwrap();
        holder.wait().unwrap();
        state.lock().unwrap();
    }

    #[test]
    fn site_id_is_made_once_and_bound_to_the_machine() {
        let (_temp, state) = dir();
        let first = state.site_id_on(Some("m1")).unwrap();
        assert!(plausible(&first) && first.split('-').count() == 3, "{first}");
        assert_eq!(state.site_id_on(Some("m1")).unwrap(), first);
        // The machine's id can't be read for once: nothing says that this is another machine.
        assert_eq!(state.site_id_on(None).unwrap(), first);

        let clone = state.site_id_on(Some("m2")).unwrap();
        assert_ne!(clone, first);
        assert_eq!(state.site_id_on(Some("m2")).unwrap(), clone);
    }

    #[test]
    fn site_id_binds_when_the_machine_becomes_known() {
        let (_temp, state) = dir();
        let id = state.site_id_on(None).unwrap();
        assert_eq!(state.site_id_on(Some("m1")).unwrap(), id);
        assert_ne!(state.site_id_on(Some("m2")).unwrap(), id);
    }

    #[test]
    fn an_unreadable_site_id_is_replaced() {
        let (_temp, state) = dir();
        fs::write(state.path().join(SITE_ID), "id=../../etc\nmachine=m1\n").unwrap();
        let id = state.site_id_on(Some("m1")).unwrap();
        assert!(plausible(&id));
        assert_eq!(state.site_id_on(Some("m1")).unwrap(), id);
    }

    #[test]
    fn a_name_is_kept_beside_the_id_and_does_not_move_to_another_machine() {
        let (_temp, state) = dir();
        let id = state.site_id_on(Some("m1")).unwrap();
        assert_eq!(state.name().unwrap(), None);
        state.keep_name("ws-7").unwrap();
        state.keep_name("ws-8").unwrap();
        assert_eq!(state.name().unwrap().as_deref(), Some("ws-8"));
        assert_eq!(state.site_id_on(Some("m1")).unwrap(), id);
        assert_eq!(kept_site_id(state.path()), Some(id));
        state.site_id_on(Some("m2")).unwrap();
        assert_eq!(state.name().unwrap(), None);
    }

    #[test]
    fn the_first_of_two_site_ids_wins() {
        let (_temp, state) = dir();
        let path = state.path().join(SITE_ID);
        assert_eq!(state.keep_site_id(&path, "one", Some("m"), false).unwrap(), "one");
        assert_eq!(state.keep_site_id(&path, "two", Some("m"), false).unwrap(), "one");
    }

    #[test]
    fn times_read_as_rfc3339() {
        let check = |seconds, text: &str| {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        };
        check(0, "1970-01-01T00:00:00Z");
        check(951_827_696, "2000-02-29T12:34:56Z");
        check(1_767_225_599, "2025-12-31T23:59:59Z");
        check(1_774_960_496, "2026-03-31T12:34:56Z");
    }
}
