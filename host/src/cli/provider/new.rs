//! `sitesync provider new`: a crate that builds, passes the conformance suite, and is its author's.
//!
//! The template lies in `host/templates/provider`, and is a member of this workspace. Beside it goes
//! a copy of the contract, whose source is in this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use toml::{Table, Value};

use super::ground;
use super::output::{counted, plain, print};
use super::{Exit, Failure, Global};
use crate::plugins::{Options, Plugins};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The provider's name, as settings will have it: lower case letters, digits, `_`
    name: String,
    /// Where to put it [default: a folder of that name]
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// A checkout of provider-api to build with, instead of a copy of it
    #[arg(long, value_name = "FOLDER")]
    api: Option<PathBuf>,
}

macro_rules! template {
    ($($path:literal from $file:literal,)*) => {
        &[$(($path, include_str!(concat!("../../../templates/provider/", $file)))),*]
    };
}

/// Files of the new crate. In them stands `my_store` for its name.
const TEMPLATE: &[(&str, &str)] = template![
    "Cargo.toml" from "manifest.toml",
    ".gitignore" from "gitignore",
    "README.md" from "README.md",
    "src/lib.rs" from "src/lib.rs",
    "src/errors.rs" from "src/errors.rs",
    "src/service.rs" from "src/service.rs",
    "src/settings.rs" from "src/settings.rs",
    "src/streams.rs" from "src/streams.rs",
    "tests/conformance.rs" from "tests/conformance.rs",
    "tests/settings.rs" from "tests/settings.rs",
];

/// Where the template has the contract.
const VENDOR: &str = "vendor/sitesync-provider";

/// The contract's Rust files.
const CONTRACT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/contract.rs"));
const CONTRACT_MANIFEST: &str = include_str!("../../../../provider-api/Cargo.toml");
const WORKSPACE_MANIFEST: &str = include_str!("../../../../Cargo.toml");
/// What goes with the contract besides.
const BESIDES: &[(&str, &str)] = &[
    ("GUIDE.md", include_str!("../../../../docs/provider-guide.md")),
    // The guide's one neighbour: a link in it leads there, here as well.
    ("conformance.md", include_str!("../../../../docs/conformance.md")),
    ("LICENSE-APACHE", include_str!("../../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../../LICENSE-MIT")),
];

/// Providers that come with the host.
const BUNDLED: &[&str] = include!(concat!(env!("OUT_DIR"), "/providers.rs"));

/// Words of Rust, edition 2024, that are no names.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates that are there without being asked for.
const BUILT_IN: &[&str] = &["alloc", "core", "proc_macro", "std", "test"];

/// The longest name that a host takes.
const LONGEST: usize = 64;

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { name, path, api } = arguments;
    // Neither settings nor state are needed; names that are taken are told where they can be.
    let settings = ground::settings_if_any(global).ok().flatten();
    let settings = settings.map(|settings| settings.plugins).unwrap_or_default();
    let plugin_folders = ground::state_path(global)
        .map(|state| ground::plugin_folders(global, &settings, &state))
        .unwrap_or_else(|_| global.plugins.clone());
    check(name, &plugin_folders).map_err(|(why, hint)| {
        Failure::new(Exit::Usage, format_args!("'{}' {why}", plain(name))).hint(hint)
    })?;
    let folder = path.clone().unwrap_or_else(|| PathBuf::from(name));
    let shown = plain(&folder.to_string_lossy());
    if is_taken(&folder) {
        let message = format_args!("{shown} is there already, and is no empty folder");
        return Err(Failure::new(Exit::Usage, message).hint("choose another --path"));
    }
    let api = api.as_deref().map(checkout).transpose()?;

    let mut files = rendered(name, api.as_deref());
    if api.is_none() {
        let vendor = |(path, text): &(&str, &str)| (format!("{VENDOR}/{path}"), (*text).to_owned());
        files.push((format!("{VENDOR}/Cargo.toml"), contract_manifest()));
        files.extend(CONTRACT.iter().chain(BESIDES).map(vendor));
    }
    for (path, text) in &files {
        write(&folder.join(path), text).map_err(|error| {
            let message = format_args!("{shown}/{path} cannot be written: {error}");
            Failure::new(Exit::Blocked, message)
                .hint(format_args!("remove {shown} before you try again"))
        })?;
    }
    let files = counted(files.len() as u64, "file");
    print(format_args!("{shown} is a provider that keeps files in memory: {files}\n\n"));
    let plugins = plugin_folders.last().map_or("PLUGINS".into(), |folder| folder.to_string_lossy());
    print(next_steps(name, &shown, &plain(&plugins)));
    Ok(Exit::Done)
}

fn next_steps(name: &str, folder: &str, plugins: &str) -> String {
    format!(
        "next:
  cd {folder}
  cargo test                     runs the conformance suite
  cargo build --release
  install -d -m 755 {plugins}
  install -m 755 target/release/lib{name}.so {plugins}/
  sitesync providers             shows it

a site of it, in sitesync.toml:
  [sites.memory]
  provider = \"{name}\"
  account = \"test\"
  root.work = \"/\"

then replace src/service.rs with a client of your storage; README.md says where to read on
"
    )
}

/// Why this can't be the name of a new provider, and what to do.
fn check(name: &str, plugin_folders: &[PathBuf]) -> Result<(), (String, String)> {
    let no = |why: &str, hint: &str| Err((why.to_owned(), hint.to_owned()));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        let near: String = name
            .chars()
            .map(|c| if fits(c.to_ascii_lowercase()) { c.to_ascii_lowercase() } else { '_' })
            .collect();
        let near = near.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('_');
        let rule = "lower case letters, digits and `_`, a letter first";
        let hint = if near.is_empty() { rule.into() } else { format!("{rule}: `{near}`") };
        return no("is no name for a provider", &hint);
    }
    if name.len() > LONGEST {
        return no("is too long", &format!("{LONGEST} characters at most"));
    }
    if KEYWORDS.contains(&name) {
        return no("is a word of Rust", &format!("`{name}_store`, for example"));
    }
    if BUILT_IN.contains(&name) || dependencies().iter().any(|dependency| dependency == name) {
        return no("is a crate that each provider uses", &format!("`{name}_store`, for example"));
    }
    let type_name = camel(name);
    if words_of_template().any(|word| word == type_name) {
        return no(
            &format!("would call its type `{type_name}`, which is a word of the contract"),
            &format!("`{name}_store`, for example"),
        );
    }
    if BUNDLED.contains(&name) {
        return no("is a provider that comes with sitesync", "choose another name");
    }
    // Files are looked at and not loaded.
    let plugins = Plugins::open(Options::new(plugin_folders.to_vec(), PathBuf::new()));
    let installed = plugins.report().into_iter().find(|one| one.name.as_deref() == Some(name));
    if let Some(path) = installed.and_then(|report| report.path) {
        return no(
            &format!("is a provider that is installed: {}", plain(&path.to_string_lossy())),
            "choose another name",
        );
    }
    Ok(())
}

/// Crates that the template depends on, as code has their names.
fn dependencies() -> Vec<String> {
    let manifest = parsed(TEMPLATE[0].1);
    ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest[*section].as_table())
        .flat_map(|section| section.keys().map(|name| name.replace('-', "_")))
        .collect()
}

/// Words of the code beside which the provider's type stands.
fn words_of_template() -> impl Iterator<Item = &'static str> {
    let code =
        TEMPLATE.iter().filter(|(path, _)| *path == "src/lib.rs" || path.starts_with("tests"));
    code.flat_map(|(_, text)| text.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|word| *word != "MyStore")
}

/// `my_store` as a type: `MyStore`.
fn camel(name: &str) -> String {
    name.split('_').map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    let mut rest = word.chars();
    rest.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(rest).collect()
}

/// The files of the template, for a provider of this name.
fn rendered(name: &str, api: Option<&Path>) -> Vec<(String, String)> {
    let label = capitalised(&name.replace('_', " "));
    let render = |(path, text): &(&str, &str)| {
        let mut text = text
            .replace("my_store", name)
            .replace("MyStore", &camel(name))
            .replace("MY_STORE", &name.to_ascii_uppercase())
            .replace("My store", label.trim_end());
        if let Some(api) = api {
            let guide = api.join("../docs/provider-guide.md");
            text = text
                .replace(&format!("{VENDOR}/GUIDE.md"), &guide.to_string_lossy())
                .replace(VENDOR, &api.to_string_lossy());
        }
        ((*path).to_owned(), text)
    };
    TEMPLATE.iter().map(render).collect()
}

/// The path of a checkout of provider-api, or why it is none.
fn checkout(folder: &Path) -> Result<PathBuf, Failure> {
    let wrong = |why: String| {
        let folder = plain(&folder.to_string_lossy());
        Failure::new(Exit::Usage, format_args!("{folder} is no checkout of provider-api: {why}"))
            .hint("--api takes the folder with the Cargo.toml of `sitesync-provider`")
    };
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))
        .map_err(|error| wrong(format!("its Cargo.toml cannot be read: {error}")))?;
    let manifest: Table = manifest.parse().map_err(|error| wrong(format!("{error}")))?;
    let name = manifest.get("package").and_then(|package| package.get("name"));
    if name.and_then(Value::as_str) != Some("sitesync-provider") {
        return Err(wrong("its package has another name".into()));
    }
    let path = folder.canonicalize().map_err(|error| wrong(error.to_string()))?;
    // It becomes a part of TOML.
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\']) && plain(text) == text => Ok(path),
        _ => Err(wrong("its path has characters that a manifest does not take".into())),
    }
}

/// The manifest of the contract, as it stands outside of this workspace: what it inherits is filled
/// in, and what belongs to its own development is left out.
fn contract_manifest() -> String {
    let workspace = parsed(WORKSPACE_MANIFEST);
    let workspace = &workspace["workspace"];
    let mut manifest = parsed(CONTRACT_MANIFEST);
    for section in ["dev-dependencies", "lints", "test", "bench", "example"] {
        manifest.remove(section);
    }
    let inherits = |value: &Value| value.get("workspace").is_some();
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        for (key, value) in package.iter_mut().filter(|(_, value)| inherits(value)) {
            *value = workspace["package"][key].clone();
        }
    }
    for section in ["dependencies", "build-dependencies"] {
        let section = manifest.get_mut(section).and_then(Value::as_table_mut);
        for (name, value) in section.into_iter().flatten().filter(|(_, value)| inherits(value)) {
            let own = std::mem::replace(value, workspace["dependencies"][name].clone());
            inherit(value, own);
        }
    }
    manifest.to_string()
}

/// Adds to an inherited dependency what its heir says besides `workspace = true`.
fn inherit(dependency: &mut Value, own: Value) {
    let Value::Table(mut own) = own else { return };
    own.remove("workspace");
    if let Value::String(version) = dependency {
        *dependency = Table::from_iter([("version".to_owned(), version.as_str().into())]).into();
    }
    let Value::Table(table) = dependency else { return };
    for (key, value) in own {
        match (table.get_mut(&key), value) {
            (Some(Value::Array(inherited)), Value::Array(more)) => inherited.extend(more),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// A manifest of this program's own.
fn parsed(manifest: &str) -> Table {
    manifest.parse().expect("this program was built with it")
}

/// True for what is there and is no empty folder.
fn is_taken(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Never over a file that appeared meanwhile.
    let mut file = fs::File::create_new(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let verdict =
            |name: &str| check(name, &[]).err().map(|(why, hint)| format!("{why} ({hint})"));
        let fine = ["my_store", "s3", "gdrive_2", "a", "memory", "files"];
        assert_eq!(fine.map(verdict), [const { None }; 6]);
        let long = "a".repeat(65);
        let wrong = [
            "",
            "S3",
            "my-store",
            "2go",
            "_x",
            "é",
            "../up",
            &long,
            "type",
            "gen",
            "serde",
            "sitesync_provider",
            "std",
            "host",
            "settings",
            "local_drive",
        ];
        let told: Vec<String> = wrong
            .iter()
            .map(|name| format!("{name}: {}", verdict(name).unwrap_or_else(|| "fine".into())))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn the_name_is_everywhere() {
        for (path, text) in rendered("blue_cloud_2", None) {
            let old = ["my_store", "MyStore", "MY_STORE", "My store"];
            assert!(!old.iter().any(|name| text.contains(name)), "{path}");
        }
        let files = rendered("blue_cloud_2", None);
        let (_, code) = files.iter().find(|(path, _)| path == "src/lib.rs").unwrap();
        assert!(code.contains(r#"About::new("blue_cloud_2", "Blue cloud 2")"#));
        assert!(code.contains("export_provider!(BlueCloud2);"));
    }

    #[test]
    fn the_contract_stands_alone() {
        let manifest = parsed(&contract_manifest());
        assert!(!contract_manifest().contains("workspace"), "{manifest}");
        assert_eq!(manifest["package"]["edition"].as_str(), Some("2024"));
        assert_eq!(manifest["dependencies"]["abi_stable"]["version"].as_str(), Some("=0.11.3"));
        let tokio = &manifest["dependencies"]["tokio"];
        assert_eq!(tokio["optional"].as_bool(), Some(true));
        let features = tokio["features"].as_array().unwrap();
        assert!(["net", "sync"].iter().all(|one| features.contains(&Value::from(*one))), "{tokio}");
        assert!(CONTRACT.iter().any(|(path, _)| *path == "src/abi/wire.rs"));
    }

    #[test]
    fn links_of_the_guide_lead_to_what_goes_with_it() {
        let (_, guide) = BESIDES[0];
        let links = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with('#')) {
            assert!(BESIDES.iter().any(|(name, _)| *name == link), "{link}");
        }
    }

    #[test]
    fn what_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_taken(folder.path()));
        fs::write(folder.path().join("a"), "mine").unwrap();
        assert!(is_taken(folder.path()) && is_taken(&folder.path().join("a")));
        assert!(!is_taken(&folder.path().join("b")));
    }
}
