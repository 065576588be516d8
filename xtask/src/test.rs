//! `cargo xtask test`: everything that the tests need, then every test.

use anyhow::Result;

use crate::needs::{self, Program};
use crate::process;
use crate::workspace::Workspace;

/// What tests use besides what cargo builds. A test that finds it missing says so and passes.
const PROGRAMS: [Program; 5] = [
    Program {
        name: "strace",
        package: "strace",
        without: "tests that watch or break system calls are skipped",
    },
    Program {
        name: "mkfs.ext4",
        package: "e2fsprogs",
        without: "tests on a full disk are skipped",
    },
    Program {
        name: "mkfs.vfat",
        package: "dosfstools",
        without: "tests on a disk that folds names are skipped",
    },
    Program {
        name: "setpriv",
        package: "util-linux",
        without: "tests as another user are skipped",
    },
    Program { name: "python3", package: "python3", without: "tests with very long paths fail" },
];

/// A validator of JSON Schemas for Python, and two clients of Google Drive.
const WHEELS: [&str; 3] =
    ["jsonschema==4.26.0", "google-api-python-client==2.202.0", needs::RCLONE];

/// `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Goes on to `cargo test`: a name's part, then `--` and what the test programs understand
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Installs what is missing, builds the workspace with its plug-ins, runs all tests.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    needs::install(&PROGRAMS);
    if let Err(error) = needs::wheels(&workspace.target, &WHEELS) {
        // There, nothing is left out in silence.
        if std::env::var_os("CI").is_some() {
            return Err(error);
        }
        eprintln!("note: {error:#}: the schema for editors and the Drive emulator are not tried");
    }
    // Tests load the plug-ins and the binary from the target folder, where `cargo test` alone would
    // not put them.
    process::run(workspace.cargo().args(["build", "--workspace"]))?;
    // Doc tests of all libraries are among them.
    // With a name to look for, cargo runs even what says `test = false`: this one would crash.
    // One run tells all that fails.
    let mut test = workspace.cargo();
    test.args(["test", "--workspace", "--exclude", "crashes_on_load", "--no-fail-fast"]);
    process::run(test.args(&arguments.rest))
}
