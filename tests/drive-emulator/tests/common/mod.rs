//! Programs that share no code with the emulator, from wheels that `cargo xtask test` installs.

use std::path::PathBuf;

/// A program of the target folder's Python environment, unless it is missing: then the test has
/// nothing to do, which in CI is a failure.
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("this test");
    let target = test.ancestors().nth(3).expect("the target folder");
    let program = target.join("python/bin").join(name);
    let site = target.join("python/lib");
    let installed = std::fs::read_dir(site)
        .into_iter()
        .flatten()
        .flatten()
        .any(|version| version.path().join("site-packages").join(package).exists());
    if program.is_file() && installed {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "`cargo xtask test` installs {package}");
    println!("skipped: needs {package}: `cargo xtask test` installs it");
    None
}
