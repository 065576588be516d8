//! The host's own keys, as data: for the editor's schema and the reference page.
//!
//! The reader has its own code for each; a test holds the two together: the same names, bounds,
//! choices and defaults.

use serde_json::{Value, json};

/// A key of a table of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Absent,
    /// What it does, in Markdown.
    pub(super) meaning: &'static str,
}

/// What counts where a key is not given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Absent {
    /// It must be given.
    Required,
    /// Nothing.
    Nothing,
    /// This, as TOML.
    Toml(&'static str),
    /// This, in words.
    Words(&'static str),
}

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Boolean,
    /// An address with a port.
    Address,
    /// The name of a site.
    Site,
    /// A name of one's own choice.
    Name,
    /// Names of sites.
    Sites,
    /// Names of sites, or `*` for all.
    SitesOrAll,
    /// Full paths.
    Folders,
    /// Patterns of file names.
    Patterns,
    /// Templates of paths.
    Templates,
    /// The id of a provider.
    Provider,
    /// Paths by the name of a root.
    Roots,
    Choice(&'static [&'static str]),
    Integer(u32, u32),
    Number(f64, f64),
    /// From and to, as durations are written.
    Duration(&'static str, &'static str),
    /// Bytes a second: from and to, in words and as numbers.
    Bytes((&'static str, u64), (&'static str, u64)),
}

/// A table of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// As its header is written.
    pub(super) header: &'static str,
    /// What it is for, in Markdown.
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

use Absent::{Nothing, Required, Toml, Words};

const fn key(name: &'static str, kind: Kind, default: Absent, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning }
}

/// Above all tables.
pub(super) const TOP: Table = Table {
    header: "",
    about: "Keys that stand above all tables.",
    keys: &[key(
        "enabled",
        Kind::Boolean,
        Toml("true"),
        "`false`: nothing is done for any project.",
    )],
};

/// `[host]`.
pub(super) const HOST: Table = Table {
    header: "host",
    about: "This machine.",
    keys: &[
        key(
            "listen",
            Kind::Address,
            Toml("\"127.0.0.1:7788\""),
            "Reserved for the HTTP API. Checked only.",
        ),
        key(
            "serves",
            Kind::SitesOrAll,
            Toml("[\"*\"]"),
            "A host works on a pair only if one of its ends is `local` or named here.",
        ),
        key(
            "site_id",
            Kind::Name,
            Words("the one that the state folder keeps"),
            "[This machine's site](../settings.md#this-machines-site), as other machines know it. No \
             `[sites.NAME]` may have that name.",
        ),
    ],
};

/// `[plugins]`.
pub(super) const PLUGINS: Table = Table {
    header: "plugins",
    about: "Where providers come from, and which may run.",
    keys: &[
        key(
            "folders",
            Kind::Folders,
            Toml("[]"),
            "Plug-in folders, in the order of their precedence. Variables and `~` are filled in. \
             `[]`: `providers/` beside the program, then `providers/` in the state folder. \
             `--plugins` goes before it.",
        ),
        key(
            "trust",
            Kind::Choice(&["owner", "pinned"]),
            Toml("\"owner\""),
            "`owner`: what [only root or the service's user can have \
             written](../operations.md#plug-ins) is loaded. `pinned`: of that, only what was \
             [admitted](../operations.md#admitting-plug-ins).",
        ),
    ],
};

/// `[sync]`, and every project.
pub(super) const SYNC: Table = Table {
    header: "sync",
    about: "Every project's defaults. Each key may be set in `[projects.NAME]` as well.",
    keys: &[
        key("enabled", Kind::Boolean, Toml("true"), "`false`: nothing is done for the project."),
        key("active_site", Kind::Site, Toml("\"studio\""), "Where people work."),
        key(
            "remote_site",
            Kind::Site,
            Toml("\"studio\""),
            "The other end. Equal ends: nothing to do.",
        ),
        key(
            "upload",
            Kind::Choice(&["all", "requested"]),
            Toml("\"all\""),
            "Which new files go from the active to the remote site.",
        ),
        key(
            "download",
            Kind::Choice(&["all", "requested"]),
            Toml("\"requested\""),
            "Which new files come from the remote to the active site.",
        ),
        key(
            "loop_delay",
            Kind::Duration("1s", "1d"),
            Toml("\"60s\""),
            "The pause between two scans of the active site.",
        ),
        key(
            "rescan",
            Kind::Duration("1s", "30d"),
            Toml("\"10m\""),
            "How often the remote site is scanned, at most as often as the active one.",
        ),
        key(
            "settle",
            Kind::Duration("0s", "1d"),
            Toml("\"10s\""),
            "A file whose modification time is younger than this (or in the future) waits that \
             long. 0: no waiting.",
        ),
        key(
            "retry_count",
            Kind::Integer(0, 1000),
            Toml("3"),
            "Tries in all before a file is `failed`. 0 is like 1.",
        ),
        key(
            "verify",
            Kind::Choice(&["auto", "full"]),
            Toml("\"auto\""),
            "`auto`: by size, and by checksum where both ends keep one. `full`: every byte is \
             read back and compared.",
        ),
        key(
            "priority",
            Kind::Integer(1, 1000),
            Toml("50"),
            "Of the project's files; higher first. Counts for work that is queued from then on.",
        ),
        key(
            "exclude",
            Kind::Patterns,
            Toml("[]"),
            "File names that are left out. `*` is any text, `?` any one character; case counts. A \
             pattern fits names, not paths, and may not leave out everything.",
        ),
        key(
            "always_accessible_on",
            Kind::Sites,
            Toml("[]"),
            "Sites that get everything, whoever made it. They must exist, and have the project's roots.",
        ),
        key(
            "representations",
            Kind::Templates,
            Toml(
                r#"["{folder}/publish/{type}/{product}/{version}/{file}",
                "{folder}/publish/{type}/{version}/{file}",
                "{folder}/publish/{type}/{product}_v{version}.{ext}",
                "{folder}/work/{task}/{product}_v{version}.{ext}",
                "{folder}/work/{task}/{product}_v{version}_{output}.{ext}"]"#,
            ),
            "Which files belong together, by their paths below a root; the first that fits counts. \
             What none fits is grouped by its folder, and so is everything with `[]`.",
        ),
        key(
            "conflicts",
            Kind::Choice(&["ask", "active_wins", "remote_wins", "newest", "keep_both"]),
            Toml("\"ask\""),
            "What becomes of a file that has new content at both ends. `ask`: it is shown, and \
             nothing is overwritten. `newest`: by modification time. `keep_both`: one of them gets \
             another name. What is replaced goes to the trash.",
        ),
        key(
            "deletes",
            Kind::Choice(&["keep", "propagate"]),
            Toml("\"keep\""),
            "What becomes of a file that was deleted at one end. `keep`: it stays at the other. \
             `propagate`: it goes to the trash there.",
        ),
        key(
            "max_delete",
            Kind::Integer(0, 1_000_000_000),
            Toml("100"),
            "A pass that would delete more files than this, **and** more than `max_delete_percent` \
             of the project, stops and asks. 0: no such limit.",
        ),
        key(
            "max_delete_percent",
            Kind::Integer(0, 100),
            Toml("10"),
            "See `max_delete`. 0: the number of files alone counts.",
        ),
        key(
            "max_change",
            Kind::Integer(0, 1_000_000_000),
            Toml("100"),
            "The same for files that a pass would overwrite: what has been encrypted at one end must \
             not travel. 0: no such limit.",
        ),
        key(
            "max_change_percent",
            Kind::Integer(0, 100),
            Toml("10"),
            "See `max_change`. 0: the number of files alone counts.",
        ),
        key(
            "keep_replaced",
            Kind::Duration("0s", "3650d"),
            Toml("\"7d\""),
            "How long the trash keeps what was replaced or deleted, where the provider keeps no \
             versions of its own. 0: no trash.",
        ),
        key(
            "watch",
            Kind::Boolean,
            Toml("true"),
            "`true`: changes on sites with a local path are noticed at once. The scans remain.",
        ),
    ],
};

/// Of `[sync]` only.
pub(super) const LISTING: &[Key] = &[key(
    "projects",
    Kind::Choice(&["listed", "folders"]),
    Toml("\"listed\""),
    "Which projects there are: [those in the file, or also one for each \
     folder](../settings.md#projects-by-their-folders).",
)];

/// `[sites.NAME]`.
pub(super) const SITE: Table = Table {
    header: "sites.NAME",
    about: "A named location. `studio` and `local` always exist: without a table of their own \
            they are `local_drive` without roots. All other keys are the provider's own.",
    keys: &[
        key(
            "provider",
            Kind::Provider,
            Required,
            "The provider's id: `local_drive`, which `studio` and `local` have without it.",
        ),
        key(
            "enabled",
            Kind::Boolean,
            Toml("true"),
            "`false`: nothing goes to it or comes from it.",
        ),
        key(
            "root",
            Kind::Roots,
            Nothing,
            "`root.NAME`: a top folder; at least one that both ends of a pair have. A root that \
             only one end has is noted, and not synced.",
        ),
        key(
            "slots",
            Kind::Integer(1, 1024),
            Words("the provider's"),
            "Transfers at once, of all projects, on the storage beneath.",
        ),
        key(
            "requests_per_second",
            Kind::Number(0.001, 100_000.0),
            Words("the provider's"),
            "For providers that talk to a service; `local_drive` does not.",
        ),
        key(
            "bandwidth",
            Kind::Bytes(("1 KiB", 1024), ("1 TiB", 1 << 40)),
            Nothing,
            "Limits what passes through the host: streamed files and comparisons. A copy within \
             one provider instance (two `local_drive` sites) does not pass through it, **and is \
             not limited**.",
        ),
        key(
            "mounted",
            Kind::Boolean,
            Toml("false"),
            "`true`: every root must lie on another device than the folder above it. The folder \
             beneath an absent disk is then never used.",
        ),
        key(
            "timeout",
            Kind::Duration("1s", "1h"),
            Toml("\"60s\""),
            "How long a call of the provider may go without an answer, or without moving a byte; \
             never a limit on a whole transfer. A barrier may take 30 times as long. Longer for \
             storage that fetches from tape, or wakes from sleep.",
        ),
        key(
            "alternative_sites",
            Kind::Sites,
            Toml("[]"),
            "Sites that are [the same storage](../settings.md#alternative-sites), seen another way. \
             What is at one of them is at all, and nothing is copied between them. Holds in both \
             directions, and goes on from site to site.",
        ),
    ],
};

/// `sites.SITE` of a project.
pub(super) const PROJECT_SITE: Table = Table {
    header: "projects.NAME.sites.SITE",
    about: "How one project sees a site.",
    keys: &[
        key("enabled", Kind::Boolean, Toml("true"), "`false`: this project leaves the site alone."),
        key(
            "root",
            Kind::Roots,
            Words("the site's"),
            "`root.NAME`: this project's folder at the site, instead of the site's own.",
        ),
    ],
};

impl Kind {
    /// What a value is, in words.
    pub(super) fn words(self) -> String {
        match self {
            Kind::Boolean => "bool".into(),
            Kind::Address => "address with port".into(),
            Kind::Site => "site".into(),
            Kind::Name => "[name](../settings.md#names)".into(),
            Kind::Sites => "array of sites".into(),
            Kind::SitesOrAll => "array of sites, or `\"*\"`".into(),
            Kind::Folders => "array of full paths".into(),
            Kind::Patterns => "array of patterns".into(),
            Kind::Templates => "array of [templates](../settings.md#representations)".into(),
            Kind::Provider => "string".into(),
            Kind::Roots => "path".into(),
            Kind::Choice(choices) => choices
                .iter()
                .map(|choice| format!("`\"{choice}\"`"))
                .collect::<Vec<_>>()
                .join(", "),
            Kind::Integer(..) | Kind::Number(..) => "number".into(),
            Kind::Duration(..) => "duration".into(),
            Kind::Bytes(..) => "bytes a second".into(),
        }
    }

    /// From where to where, in words; empty where there are no bounds.
    pub(super) fn range(self) -> String {
        match self {
            Kind::Integer(least, most) => format!("{least} to {most}"),
            Kind::Number(least, most) => format!("{least} to {most}"),
            Kind::Duration(least, most) => format!("{least} to {most}"),
            Kind::Bytes((least, _), (most, _)) => format!("{least} to {most}"),
            _ => String::new(),
        }
    }

    /// The JSON Schema of a value.
    pub(super) fn schema(self) -> Value {
        let list = |items: Value| json!({ "type": "array", "items": items });
        let text = json!({ "type": "string", "minLength": 1 });
        match self {
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Address => json!({ "type": "string", "pattern": ":[0-9]{1,5}$" }),
            Kind::Site | Kind::Provider => text,
            Kind::Name => json!({ "type": "string", "pattern": NAME }),
            Kind::Sites | Kind::SitesOrAll | Kind::Folders | Kind::Templates => list(text),
            Kind::Patterns => list(json!({ "type": "string", "pattern": "^[^/]*[^/*][^/]*$" })),
            Kind::Roots => json!({
                "type": "object",
                "propertyNames": { "pattern": NAME },
                "additionalProperties": { "anyOf": [text, platforms()] },
            }),
            Kind::Choice(choices) => json!({ "enum": choices }),
            Kind::Integer(least, most) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Kind::Number(least, most) => {
                json!({ "type": "number", "minimum": least, "maximum": most })
            }
            Kind::Duration(least, most) => {
                let seconds = |text| super::units::parse_duration(text).map_or(0, |d| d.as_secs());
                json!({ "anyOf": [
                    { "type": "string", "pattern": "^ *([0-9]+ *(d|h|m|s|ms|us|ns) *)+$" },
                    { "type": "integer", "minimum": seconds(least), "maximum": seconds(most) },
                ] })
            }
            Kind::Bytes((_, least), (_, most)) => json!({ "anyOf": [
                { "type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? *[A-Za-z]+(/s)?$" },
                { "type": "integer", "minimum": least, "maximum": most },
            ] }),
        }
    }
}

/// Names of sites, projects and roots.
pub(super) const NAME: &str = "^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$";

/// The JSON Schema of a text that differs by platform.
pub(super) fn platforms() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "type": "object",
        "properties": { "linux": text, "windows": text, "darwin": text },
        "additionalProperties": false,
        "minProperties": 1,
    })
}
