//! `sitesync init`: a settings file for a pair of sites, asked for or by flags, and tried at once.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use toml_edit::Value;

use super::output::{Table, counted, plain, print, say, size};
use super::{Exit, Failure, Global, ground, sites};
use crate::settings::edit::{dotted, parse_key, parse_value};
use crate::settings::{Context, Settings, is_secret, save};
use crate::sites::Sites;
use crate::state_dir::StateDir;

mod unit;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// For the machine of somebody who works at home: it works for itself only
    #[arg(long)]
    artist: bool,
    /// The active site, where people work [default: studio; with --artist, local]
    #[arg(long, value_name = "NAME")]
    active_site: Option<String>,
    /// Where the active site keeps its projects: a folder of this machine
    #[arg(long, value_name = "PATH")]
    active_root: Option<String>,
    /// The remote site [default: remote; with --artist, studio]
    #[arg(long, value_name = "NAME")]
    remote_site: Option<String>,
    /// The remote site's provider [default: local_drive]
    #[arg(long, value_name = "NAME")]
    remote_provider: Option<String>,
    /// Where the remote site keeps its projects, as its provider has it
    #[arg(long, value_name = "PATH")]
    remote_root: Option<String>,
    /// A setting of the remote site's provider; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    remote_set: Vec<String>,
    /// A project; may be repeated
    #[arg(long, value_name = "NAME")]
    project: Vec<String>,
    /// Every folder where the active site keeps its projects is a project
    #[arg(long, conflicts_with = "project")]
    folders: bool,
    /// The file [default: that of --config; else the user's, or root's in /etc/sitesync]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Asks nothing
    #[arg(long, conflicts_with = "ask")]
    yes: bool,
    /// Asks even if standard input is no terminal
    #[arg(long, hide = true)]
    ask: bool,
    /// Prints a systemd unit for the service
    #[arg(long)]
    systemd: bool,
    /// Installs the systemd unit: the user's, or root's in /etc/systemd/system
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true)]
    install_systemd: Option<Option<PathBuf>>,
}

impl Arguments {
    /// A unit is wanted, and nothing is said that belongs into a settings file.
    fn unit_only(&self) -> bool {
        let said = self.artist || self.folders || self.ask || self.output.is_some();
        let named = [&self.active_site, &self.active_root, &self.remote_site];
        let more = [&self.remote_provider, &self.remote_root];
        let answered = named.into_iter().chain(more).any(Option::is_some);
        let listed = !self.project.is_empty() || !self.remote_set.is_empty();
        (self.systemd || self.install_systemd.is_some()) && !(said || answered || listed)
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let unit = arguments.install_systemd.as_ref().map(|folder| unit::path(folder.as_deref()));
    let unit = unit.transpose()?;
    if let Some(unit) = &unit {
        refuse_to_overwrite(unit, "remove it first, or print the new one with --systemd")?;
    }
    if arguments.unit_only()
        && let Ok(settings) = Settings::find(&ground::candidates(global))
    {
        let settings =
            std::path::absolute(&settings).map_err(|error| Failure::new(Exit::Usage, error))?;
        units(global, arguments, &settings, unit.as_deref())?;
        return Ok(Exit::Done);
    }
    let output = output(global, arguments)?;
    let other = "`sitesync config set KEY VALUE` changes one that is; --output names another";
    refuse_to_overwrite(&output, other)?;
    let asking = arguments.ask || (!arguments.yes && std::io::stdin().is_terminal());
    let answers = Answers::take(arguments, global, asking)?;
    let text = answers.text()?;
    let name = output.display().to_string();
    let context = Context::from_process();
    if let Err(errors) = Settings::parse(&text, &name, &context) {
        return Err(Failure::from(errors).hint("nothing was written"));
    }
    if asking {
        say(format_args!("\n{text}"));
        if !ask(&format!("Write this to {name}?"), Some("yes"))?.starts_with(['y', 'Y']) {
            return Err(Failure::new(Exit::Usage, "nothing was written"));
        }
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    save::create(&output, &text, if answers.secret() { 0o600 } else { 0o644 })?;
    print(format_args!("{name} is written\n\n"));

    let global = Global { config: Some(output.clone()), ..global.clone() };
    let sound = try_out(&global)?;
    if unit.is_some() || arguments.systemd {
        print("\n");
    }
    units(&global, arguments, &output, unit.as_deref())?;
    print(next(&output, sound, unit.is_some() || arguments.systemd));
    Ok(if sound { Exit::Done } else { Exit::Trouble })
}

fn refuse_to_overwrite(file: &Path, hint: &str) -> Result<(), Failure> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    let message = format_args!("{} is there already", file.display());
    Err(Failure::new(Exit::Usage, message).hint(hint))
}

/// Installs the unit of a service with these settings, prints it, or neither, as it is asked for.
fn units(
    global: &Global,
    arguments: &Arguments,
    settings: &Path,
    install: Option<&Path>,
) -> Result<(), Failure> {
    let text = unit::text(settings, &ground::state_path(global)?)?;
    if let Some(path) = install {
        make_folder(path.parent().unwrap_or(Path::new("/")))?;
        save::create(path, &text, 0o644)?;
        print(format_args!("{} is written; to start it:\n{}", path.display(), unit::start()));
    }
    if arguments.systemd {
        print(&text);
    }
    Ok(())
}

/// Where the file goes.
fn output(global: &Global, arguments: &Arguments) -> Result<PathBuf, Failure> {
    let named = arguments.output.clone().or_else(|| global.config.clone());
    let path = named.or_else(|| {
        let usual = ground::candidates(global);
        // The working folder's is first, and not where a service looks.
        let at = if rustix::process::geteuid().is_root() { usual.len() - 1 } else { 1 };
        usual.get(at).cloned()
    });
    let path = path.ok_or_else(|| Failure::new(Exit::Usage, "name the file with --output"))?;
    std::path::absolute(&path).map_err(|error| Failure::new(Exit::Usage, error))
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let message = format_args!("{} cannot be made: {error}", folder.display());
        Failure::new(Exit::Usage, message).hint("name another file with --output")
    })
}

/// All that the file is made from.
struct Answers {
    artist: bool,
    active: String,
    active_root: String,
    remote: String,
    provider: String,
    remote_root: String,
    settings: Vec<(Vec<String>, Value)>,
    /// `None` for every folder.
    projects: Option<Vec<String>>,
}

impl Answers {
    /// Takes them from the flags; what is missing is asked for, or named.
    fn take(arguments: &Arguments, global: &Global, asking: bool) -> Result<Self, Failure> {
        let artist = arguments.artist;
        let missing: Vec<&str> = [
            ("--active-root", arguments.active_root.is_none()),
            ("--remote-root", arguments.remote_root.is_none()),
            ("--project (or --folders)", arguments.project.is_empty() && !arguments.folders),
        ]
        .into_iter()
        .filter_map(|(flag, missing)| missing.then_some(flag))
        .collect();
        if !asking && !missing.is_empty() {
            let message = format_args!("these are needed: {}", missing.join(", "));
            return Err(Failure::new(Exit::Usage, message)
                .hint("in a terminal, `sitesync init` without --yes asks for them"));
        }
        let settings = arguments.remote_set.iter().map(|text| setting(text));
        let settings = settings.collect::<Result<_, _>>()?;
        let or_ask = |flag: &Option<String>, question: &str, usual: Option<&str>| match flag {
            Some(given) => Ok(given.clone()),
            None if asking => ask(question, usual),
            None => Ok(usual.unwrap_or_default().to_owned()),
        };
        let (active, remote) = if artist { ("local", "studio") } else { ("studio", "remote") };
        let active = arguments.active_site.clone().unwrap_or_else(|| active.to_owned());
        let question = format!("Folder of this machine with the projects, for the site '{active}'");
        let active_root = or_ask(&arguments.active_root, &question, None)?;
        let remote = or_ask(&arguments.remote_site, "Name of the site to sync with", Some(remote))?;
        if asking && arguments.remote_provider.is_none() {
            say(format_args!("Providers: {}", providers(global)));
        }
        let question = format!("Provider of '{remote}'");
        let provider = or_ask(&arguments.remote_provider, &question, Some("local_drive"))?;
        let question = format!("Folder with the projects at '{remote}'");
        let remote_root = or_ask(&arguments.remote_root, &question, None)?;
        let projects = if arguments.folders {
            None
        } else if arguments.project.is_empty() {
            let names = ask("Projects, with blanks between; * for every folder", Some("*"))?;
            let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
            (names != ["*"]).then_some(names)
        } else {
            Some(arguments.project.clone())
        };
        let here = provider == "local_drive";
        Ok(Answers {
            artist,
            active,
            active_root: root(&active_root, true)?,
            remote,
            remote_root: root(&remote_root, here)?,
            provider,
            settings,
            projects,
        })
    }

    fn secret(&self) -> bool {
        self.settings.iter().any(|(key, _)| key.iter().any(|part| is_secret(part)))
    }

    /// The file.
    fn text(&self) -> Result<String, Failure> {
        let Answers { active, remote, .. } = self;
        let shown = |text: &str| Value::from(text).to_string();
        let mut text = String::from(
            "# Settings of sitesync. `sitesync config check` says whether they are right,\n\
             # `sitesync config show --origin` what holds. A running service sees changes by itself.\n\n",
        );
        if self.artist {
            text.push_str(
                "# This machine works for itself, and for no other site.\n[host]\nserves = []\n\n",
            );
        }
        text.push_str("# What holds for every project.\n[sync]\n");
        let download = if self.artist { "all" } else { "requested" };
        let mut lines = vec![
            (format!("active_site = {}", shown(active)), "where people work".to_owned()),
            (format!("remote_site = {}", shown(remote)), "the other end".to_owned()),
            ("upload = \"all\"".into(), format!("new files to '{remote}': all | requested")),
            (format!("download = {}", shown(download)), format!("new files to '{active}'")),
        ];
        if self.projects.is_none() {
            let every = format!("each folder where '{active}' keeps its projects");
            lines.push(("projects = \"folders\"".into(), every));
        }
        lines.push((
            "exclude = [\"*.tmp\", \"Thumbs.db\", \".DS_Store\"]".into(),
            "left out".into(),
        ));
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        for (line, comment) in &lines {
            let _ = writeln!(text, "{line:width$}   # {comment}");
        }
        text.push_str("\n# Where it is. `{project}` stands for a project's name.\n");
        let sites = [
            (active, "local_drive", &self.active_root, &[][..]),
            (remote, self.provider.as_str(), &self.remote_root, &self.settings[..]),
        ];
        for (name, provider, root, settings) in sites {
            let _ = writeln!(text, "[{}]", dotted(&["sites".into(), name.clone()]));
            let _ = writeln!(text, "provider = {}", shown(provider));
            for (key, value) in settings {
                let _ = writeln!(text, "{} = {value}", dotted(key));
            }
            let _ = writeln!(text, "root.work = {}\n", shown(root));
        }
        match &self.projects {
            Some(projects) => {
                text.push_str("# Any key of [sync] can be set for one project.\n");
                for project in projects {
                    let _ = writeln!(text, "[{}]", dotted(&["projects".into(), project.clone()]));
                }
            }
            None => text.push_str("# A project may have values of its own:\n# [projects.NAME]\n"),
        }
        Ok(text)
    }
}

/// A setting `KEY=VALUE` of the remote site.
fn setting(text: &str) -> Result<(Vec<String>, Value), Failure> {
    let wrong = || {
        Failure::new(Exit::Usage, format_args!("`{}` is no KEY=VALUE", plain(text)))
            .hint("for example `--remote-set permissions=keep`")
    };
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let key = parse_key(key).map_err(|_| wrong())?;
    if key.iter().any(|part| is_secret(part)) {
        let key = dotted(&key);
        return Err(Failure::new(
            Exit::Usage,
            format_args!(
                "`{key}` is a secret, and everybody can see what stands on a command line"
            ),
        )
        .hint("leave it out; then `sitesync config set sites.NAME.KEY -` reads it"));
    }
    Ok((key, parse_value(value)))
}

/// A root for all projects: the folder that was named, and the project's in it.
fn root(folder: &str, on_disk: bool) -> Result<String, Failure> {
    if folder.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "a folder is needed, and none was given"));
    }
    let mut folder = folder.trim().to_owned();
    if on_disk && !folder.starts_with(['/', '~', '{']) {
        let path =
            std::path::absolute(&folder).map_err(|error| Failure::new(Exit::Usage, error))?;
        folder = path.to_string_lossy().into_owned();
    }
    if folder.contains("{project}") {
        return Ok(folder);
    }
    Ok(format!("{}/{{project}}", folder.trim_end_matches('/')))
}

/// The names of the plug-ins that are there.
fn providers(global: &Global) -> String {
    let names = ground::state_path(global).and_then(|path| {
        let state = StateDir::open(&path)?;
        Ok(ground::plugins(global, &crate::settings::Plugins::default(), &state).names())
    });
    names.unwrap_or_default().join(", ")
}

/// Asks until there is an answer. `usual` is what an empty line stands for.
fn ask(question: &str, usual: Option<&str>) -> Result<String, Failure> {
    loop {
        let mut stderr = std::io::stderr().lock();
        let hint = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        let _ = write!(stderr, "{question}{hint}: ").and_then(|()| stderr.flush());
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let read = read.map_err(|error| Failure::new(Exit::Usage, error))?;
        if read == 0 {
            let message = format_args!("there is no answer to: {question}");
            return Err(Failure::new(Exit::Usage, message).hint("nothing was written"));
        }
        match (line.trim(), usual) {
            ("", Some(usual)) => return Ok(usual.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}

/// Opens all roots, and tells what was found. False if one cannot be used.
fn try_out(global: &Global) -> Result<bool, Failure> {
    let (_, loaded) = ground::load_settings(global)?;
    let settings = loaded.settings;
    for note in &loaded.notes {
        say(note);
    }
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = Arc::new(ground::plugins(global, &settings.plugins, &state));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let cache = state.path().join("cache");
    let live = Sites::new(plugins, &settings, state.site_id()?, cache, stopped);
    let runtime = ground::runtime()?;
    let found = runtime.block_on(sites::look(&settings, &live));
    runtime.shutdown_background();

    let mut table = Table::new(&["site", "project", "root", "found", "free"]);
    let mut trouble = Vec::new();
    for one in &found {
        let (health, free) = match &one.result {
            Ok(root) => {
                let writable = root.info.local_path.as_ref().is_none_or(|path| {
                    rustix::fs::access(path.as_str(), rustix::fs::Access::WRITE_OK).is_ok()
                });
                if !writable {
                    let hint = format!("give this user the right to write in {}", one.path);
                    trouble.push((format!("{} cannot be written to", one.path), Some(hint)));
                }
                let health = if writable { "ok" } else { "read-only" };
                (health, root.info.free.map(size).unwrap_or_default())
            }
            Err(fault) => {
                trouble.push((fault.to_string(), fault.hint.clone()));
                ("offline", String::new())
            }
        };
        let root = format!("{}={}", one.root, one.path);
        table.row(vec![one.site.clone(), one.project.clone(), root, health.into(), free]);
    }
    if table.is_empty() {
        print("no project is there yet\n");
    } else {
        print(&table);
    }
    for (what, hint) in &trouble {
        say(format_args!("not ready: {}", plain(what)));
        if let Some(hint) = hint {
            say(format_args!("  help: {}", plain(hint)));
        }
    }
    if !trouble.is_empty() {
        say(format_args!("{} not ready", counted(trouble.len() as u64, "root")));
    }
    Ok(trouble.is_empty())
}

/// What to do now.
fn next(output: &Path, sound: bool, has_unit: bool) -> String {
    let mut text = String::from("\nnext:\n");
    let config = if ground::is_usual(output) {
        String::new()
    } else {
        format!("--config {} ", output.display())
    };
    if !sound {
        let _ = writeln!(text, "  sitesync {config}sites            once that is put right");
    }
    let _ = writeln!(text, "  sitesync {config}sync             one pass");
    let _ = writeln!(text, "  sitesync {config}serve            the service");
    if !has_unit {
        text.push_str("  sitesync init --systemd prints a unit that keeps the service running\n");
    }
    text
}
