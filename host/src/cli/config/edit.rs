//! `sitesync config set` and `config unset`: one key, checked before it is written.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use toml_edit::Value;

use crate::cli::output::{plain, print, say};
use crate::cli::{Exit, Failure, Global, ground};
use crate::settings::edit::{self, Refusal};
use crate::settings::save::{self, Editing};
use crate::settings::{Context, Layer, Loaded, Origin, Settings, Source, is_secret, nearest};
use crate::state_dir::StateDir;

/// The longest value that is read from standard input, in bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    /// The key, with dots: `sync.retry_count`, `sites.studio.root.work`
    key: String,
    /// The value, as in TOML; what is none is taken as text. `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Unset {
    /// The key, with dots: `sync.retry_count`, `sites.studio.root.work`
    key: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// In local.toml, which is of this machine only
    #[arg(id = "here", long = "local")]
    local: bool,
    /// The project that it is a key of
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
}

pub(super) fn set(global: &Global, arguments: &Set) -> Result<Exit, Failure> {
    let key = arguments.place.key(&arguments.key)?;
    let value = value(&key, &arguments.value)?;
    let edited = Edited::open(global, &arguments.place)?;
    let new = edit::set(&edited.text, &key, value).map_err(|refusal| edited.refused(&refusal))?;
    let shown = edit::dotted(&key);
    if new == edited.text {
        say(format_args!("{} is so already", plain(&shown)));
        return Ok(Exit::Done);
    }
    let path = edited.write(&new, &key)?;
    print(format_args!("{} is set in {}\n", plain(&shown), path.display()));
    Ok(Exit::Done)
}

pub(super) fn unset(global: &Global, arguments: &Unset) -> Result<Exit, Failure> {
    let key = arguments.place.key(&arguments.key)?;
    let edited = Edited::open(global, &arguments.place)?;
    let new = edit::unset(&edited.text, &key).map_err(|refusal| edited.refused(&refusal))?;
    let shown = edit::dotted(&key);
    let Some(new) = new else {
        let path = edited.path.display();
        let failure =
            Failure::new(Exit::Usage, format_args!("`{}` is not set in {path}", plain(&shown)));
        let (last, table) = key.split_last().unwrap_or((&shown, &[]));
        let there = edit::keys_of(&edited.text, table);
        return Err(match nearest(last, there.iter().map(String::as_str)) {
            Some(near) if near != last => failure.hint(format_args!(
                "did you mean `{}`?",
                edit::dotted(&[table, &[near.to_owned()]].concat())
            )),
            _ => failure,
        });
    };
    let path = edited.write(&new, &key)?;
    print(format_args!("{} is no longer set in {}\n", plain(&shown), path.display()));
    Ok(Exit::Done)
}

impl Place {
    /// The whole key.
    fn key(&self, key: &str) -> Result<Vec<String>, Failure> {
        let key = edit::parse_key(key).map_err(|refusal| Failure::new(Exit::Usage, refusal))?;
        Ok(match &self.project {
            Some(project) => ["projects".into(), project.clone()].into_iter().chain(key).collect(),
            None => key,
        })
    }
}

/// The value of an argument.
fn value(key: &[String], argument: &str) -> Result<Value, Failure> {
    let secret = key.last().is_some_and(|name| is_secret(name));
    if argument != "-" {
        if secret {
            let key = edit::dotted(key);
            return Err(Failure::new(
                Exit::Usage,
                format_args!(
                    "`{key}` is a secret, and everybody on this machine can see what stands on a \
                     command line"
                ),
            )
            .hint(format_args!("let it be read: `sitesync config set {key} - < FILE`")));
        }
        return Ok(edit::parse_value(argument));
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
    let failure = |message: &str| Failure::new(Exit::Usage, message);
    read.map_err(|error| failure(&format!("standard input cannot be read: {error}")))?;
    if text.len() as u64 > LONGEST {
        return Err(failure("standard input holds more than 64 KiB, which is no value"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    // A password of digits is a text all the same.
    Ok(if secret { Value::from(line) } else { edit::parse_value(line) })
}

/// A settings file while it is edited.
struct Edited {
    path: PathBuf,
    /// `None` for one that is not there yet.
    editing: Option<Editing>,
    text: String,
    layer: Layer,
    /// All that is loaded with it, as it was.
    documents: Vec<Source>,
    context: Context,
    before: Option<Loaded>,
}

impl Edited {
    fn open(global: &Global, place: &Place) -> Result<Self, Failure> {
        let mut files = ground::files(global)?;
        let (path, layer) = if place.local {
            (ground::local_file(global)?, Layer::Local)
        } else {
            (files.system.clone(), Layer::System)
        };
        let is_new = place.local && std::fs::symlink_metadata(&path).is_err();
        if is_new {
            files.local = None;
        }
        let editing = if is_new { None } else { Some(Editing::open(&path)?) };
        // Not before it is locked: else it might be changed between.
        let mut documents = Settings::documents(&files)?;
        if is_new {
            documents.insert(1, Source::new(layer, path.display().to_string(), ""));
        }
        let text = documents.iter().find(|document| document.layer() == layer);
        let text = text.map_or_else(String::new, |document| document.text().to_owned());
        let context = Context::from_process();
        let before = Settings::check(documents.clone(), &context).ok();
        if let (Some(project), Some(before)) = (&place.project, &before) {
            known(project, &before.settings)?;
        }
        Ok(Edited { path, editing, text, layer, documents, context, before })
    }

    /// Why the text cannot be edited. One that is no TOML says so as when it is loaded.
    fn refused(&self, refusal: &Refusal) -> Failure {
        match Settings::check(self.documents.clone(), &self.context) {
            Err(errors) if *refusal == Refusal::Syntax => errors.into(),
            _ => Failure::new(Exit::Usage, format_args!("{}: {refusal}", self.path.display())),
        }
    }

    /// Writes the new text, if all is right with it. Tells what that brings about.
    fn write(self, new: &str, key: &[String]) -> Result<PathBuf, Failure> {
        let changed = self.documents.iter().map(|document| {
            let edited = document.layer() == self.layer;
            if edited { document.with_text(new) } else { document.clone() }
        });
        let loaded = Settings::check(changed.collect(), &self.context).map_err(|errors| {
            let hint = format!("{} was left as it was", self.path.display());
            Failure::from(errors).hint(hint)
        })?;
        match self.editing {
            Some(editing) => editing.replace(new)?,
            None => {
                if let Some(folder) = self.path.parent().filter(|folder| !folder.exists()) {
                    StateDir::open(folder)?;
                }
                save::create(&self.path, new, 0o600)?;
            }
        }
        let known: BTreeSet<&str> = self
            .before
            .iter()
            .flat_map(|before| &before.notes)
            .map(|note| note.message.as_str())
            .collect();
        for note in loaded.notes.iter().filter(|note| !known.contains(note.message.as_str())) {
            say(note);
        }
        if let Some(other) = outdone(&loaded, key, self.layer) {
            let Origin { file, line, layer, .. } = other;
            say(format_args!("note: {file}:{line} ({}) says otherwise, and wins", layer.name()));
        }
        Ok(self.path)
    }
}

/// Where a later layer says something for a key as well.
fn outdone(loaded: &Loaded, key: &[String], layer: Layer) -> Option<Origin> {
    let holds = match key {
        [projects, name, ..] if projects == "projects" => {
            let sites: Vec<&str> = loaded.settings.sites.keys().map(String::as_str).collect();
            loaded.origins.project(name, &sites)
        }
        _ => loaded.origins.shared(),
    };
    let own = holds.into_iter().find(|value| value.key == key)?;
    (own.origin.layer > layer).then_some(own.origin)
}

/// A slip in a project's name must not make a project.
fn known(project: &str, settings: &Settings) -> Result<(), Failure> {
    if settings.projects.contains_key(project) || !settings.folders.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(
        Exit::Usage,
        format_args!("there is no project '{}' in the settings", plain(project)),
    );
    Err(match nearest(project, settings.projects.keys().map(String::as_str)) {
        Some(near) => failure.hint(format_args!("did you mean '{near}'?")),
        None => failure.hint(format_args!(
            "`sitesync config set {} {{}}` adds it",
            edit::dotted(&["projects".into(), project.to_owned()])
        )),
    })
}
