//! What of the machine has a say in the settings: its platform, its variables, the home folder.

use std::collections::BTreeMap;
use std::fmt;

/// An operating system, by the name that path tables use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux, and other systems like it.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    Darwin,
}

impl Platform {
    /// The names that a path table may have as keys.
    pub const NAMES: [&'static str; 3] = ["linux", "windows", "darwin"];

    /// Returns the platform that this binary was built for.
    #[must_use]
    pub fn current() -> Self {
        if cfg!(windows) {
            Platform::Windows
        } else if cfg!(target_os = "macos") {
            Platform::Darwin
        } else {
            Platform::Linux
        }
    }

    /// Returns the key of this platform in a path table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Platform::Linux => "linux",
            Platform::Windows => "windows",
            Platform::Darwin => "darwin",
        }
    }

    /// Whether disks of this platform usually take `A` and `a` for one name.
    pub(super) fn folds_case(self) -> bool {
        self != Platform::Linux
    }
}

/// Everything outside the file that settings depend on.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// Which path of a path table counts.
    pub platform: Platform,
    /// What `{NAME}` stands for.
    pub variables: BTreeMap<String, String>,
    /// What `~` stands for.
    pub home: Option<String>,
}

// Not derived: variables hold passwords.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("platform", &self.platform)
            .field("variables", &self.variables.keys())
            .field("home", &self.home)
            .finish()
    }
}

impl Context {
    /// Returns that of this process. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn from_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = std::env::home_dir()
            .and_then(|home| home.into_os_string().into_string().ok())
            .filter(|home| !home.is_empty());
        Context { platform: Platform::current(), variables, home }
    }

    /// Returns a variable's value. Windows does not tell `Path` from `PATH`, so neither is done here.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let exact = self.variables.get(name);
        let found = match self.platform {
            Platform::Windows => exact.or_else(|| {
                self.variables
                    .iter()
                    .find(|(other, _)| other.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            }),
            Platform::Linux | Platform::Darwin => exact,
        };
        found.map(String::as_str)
    }
}
