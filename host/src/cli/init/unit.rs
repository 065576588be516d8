//! The systemd unit of the service: root's, or the user's own.

use std::path::{Path, PathBuf};

use crate::cli::{Exit, Failure};

const NAME: &str = "sitesync.service";

/// What only root's manager can grant. `/usr`, `/boot` and `/etc` are read-only; roots may lie
/// anywhere else, so that a new one needs no change here.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=full
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where it belongs.
pub(super) fn path(folder: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = folder {
        return Ok(folder.join(NAME));
    }
    if is_root() {
        return Ok(Path::new("/etc/systemd/system").join(NAME));
    }
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    let config = config.ok_or_else(|| {
        Failure::new(Exit::Usage, "there is no home folder for the unit")
            .hint("name a folder: --install-systemd=FOLDER")
    })?;
    Ok(config.join("systemd/user").join(NAME))
}

/// The commands that start it.
pub(super) fn start() -> &'static str {
    if is_root() {
        "  systemctl daemon-reload\n  systemctl enable --now sitesync\n"
    } else {
        "  systemctl --user daemon-reload\n  systemctl --user enable --now sitesync\n"
    }
}

/// The unit for this program, with these settings.
pub(super) fn text(settings: &Path, state: &Path) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::new(Exit::Blocked, error))?;
    let [program, settings] = [&program, settings].map(quoted);
    let state = quoted(state);
    let (wants, user, hardening, target) = if is_root() {
        (
            "After=network-online.target remote-fs.target\nWants=network-online.target\n",
            "# Make it once: useradd --system --home-dir /var/lib/sitesync sitesync\n\
             User=sitesync\nGroup=sitesync\nStateDirectory=sitesync\nStateDirectoryMode=0700\n",
            HARDENING,
            "multi-user.target",
        )
    } else {
        ("", "", "NoNewPrivileges=yes\n", "default.target")
    };
    Ok(format!(
        "[Unit]\n\
         Description=sitesync\n\
         {wants}\
         \n\
         [Service]\n\
         {user}\
         ExecStart={program} --config {settings} --state-dir {state} serve\n\
         # New settings are seen by themselves; this has them read at once.\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         # Files that are written get the permissions that this leaves.\n\
         UMask=0002\n\
         # It finishes what is under way within about 20 s.\n\
         TimeoutStopSec=60\n\
         Restart=on-failure\n\
         RestartSec=5\n\
         # Exit code 2: the settings are wrong. Trying again changes nothing.\n\
         RestartPreventExitStatus=2\n\
         {hardening}\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    ))
}

/// A path as an argument in a unit.
fn quoted(path: impl AsRef<Path>) -> String {
    let path = path.as_ref().to_string_lossy().replace('%', "%%").replace('$', "$$");
    if path.contains([' ', '\t', '"', '\'', '\\']) {
        format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        path
    }
}
