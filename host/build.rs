//! Embeds what `sitesync provider new` writes into each new crate: the contract's own source, since
//! it is on no registry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let top = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("..");
    let contract = top.join("provider-api");
    let mut files = vec![contract.join("build.rs")];
    sources(&contract.join("src"), &mut files)?;
    files.sort();
    let mut code = "&[\n".to_owned();
    for file in &files {
        let name = file.strip_prefix(&contract).expect("a file beneath it");
        writeln!(code, "({name:?}, include_str!({file:?})),").expect("a string takes all");
    }
    code.push_str("]\n");
    write("contract.rs", &code)?;

    // A provider that comes with the host keeps its name.
    let mut names: Vec<_> = fs::read_dir(top.join("providers"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    write("providers.rs", &format!("&{names:?}\n"))?;
    for folder in ["provider-api/src", "providers"] {
        println!("cargo:rerun-if-changed=../{folder}");
    }
    Ok(())
}

/// Adds all Rust files beneath a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn write(name: &str, code: &str) -> io::Result<()> {
    let folder = env::var_os("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&folder).join(name), code)
}
