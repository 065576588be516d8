//! Programs that share no code with the emulator, from wheels that `cargo xtask test` installs.

use std::path::PathBuf;
use std::process::Command;

/// A program of the target folder's Python environment, if it runs with these arguments. If not,
/// the test has nothing to do, which in CI is a failure.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("this test");
    let target = test.ancestors().nth(3).expect("the target folder");
    let program = target.join("python/bin").join(name);
    let tried = Command::new(&program).args(arguments).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    let needed =
        format!("`{name} {}` does not run: `cargo xtask test` installs it", arguments.join(" "));
    assert!(std::env::var_os("CI").is_none(), "{needed}");
    println!("skipped: {needed}");
    None
}
