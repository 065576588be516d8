//! The pages of `docs/settings/`, from the same data that is checked against.

use std::fmt::Write as _;

use sitesync_provider::settings::{Field, Fields, Kind, Part, Scope};

use super::keys::{self, Absent, Key};
use super::provider::Declared;
use super::toml_text;

/// Returns the page of the host's own keys.
#[must_use]
pub fn host_page() -> String {
    let mut page = "# Settings: reference\n\nEvery key of `sitesync.toml` that is the host's own. \
        What they are for, and how values are written: [settings](../settings.md). Each provider has \
        a page of its own here for the rest.\n"
        .to_owned();
    for table in [keys::TOP, keys::HOST, keys::PLUGINS, keys::SYNC, keys::SITE, keys::PROJECT_SITE]
    {
        let title = match table.header {
            "" => "Top".to_owned(),
            header => format!("`[{header}]`"),
        };
        let _ = write!(page, "\n## {title}\n\n{}\n\n", table.about);
        rows(&mut page, table.keys);
        if table.header == keys::SYNC.header {
            page += "\nOnly `[sync]`:\n\n";
            rows(&mut page, keys::LISTING);
        }
    }
    page
}

fn rows(page: &mut String, keys: &[Key]) {
    let ranged = keys.iter().any(|key| !key.kind.range().is_empty());
    let (range, line) = if ranged { (" range |", "---|") } else { ("", "") };
    let _ = write!(page, "| key | type | default |{range} meaning |\n|---|---|---|{line}---|\n");
    for key in keys {
        let default = match key.default {
            Absent::Required => "required".to_owned(),
            Absent::Nothing => String::new(),
            Absent::Toml(text) => format!("`{text}`"),
            Absent::Words(words) => words.to_owned(),
        };
        let _ =
            write!(page, "| `{}` | {} | {} |", key.name, cell(&key.kind.words()), cell(&default));
        if ranged {
            let _ = write!(page, " {} |", key.kind.range());
        }
        let _ = writeln!(page, " {} |", cell(key.meaning));
    }
}

/// Returns the page of a provider's settings.
#[must_use]
pub fn provider_page(declared: &Declared) -> String {
    let (id, fields) = (declared.provider(), declared.fields());
    let mut page = format!(
        "# Settings of `{id}`\n\n{}: what stands in `[sites.NAME]` with `provider = \"{id}\"`, besides \
         [what every site has](README.md#sitesname).\n\n",
        declared.label()
    );
    if fields.fields.is_empty() {
        page += "It has none.\n";
        return page;
    }
    page += "| key | values | default | may be set by | meaning |\n|---|---|---|---|---|\n";
    field_rows(&mut page, fields, "", None);
    let connection = fields.fields.iter().filter(|field| field.part == Part::Connection);
    let connection: Vec<String> = connection.map(|field| format!("`{}`", field.name)).collect();
    page += &match connection.as_slice() {
        [] => {
            "\nAll belong to the site: sites that differ in them share one connection.\n".to_owned()
        }
        names => format!("\nSites that agree in {} share one connection.\n", names.join(", ")),
    };
    page
}

/// `above` is the setting that all of these lie in, if they do.
fn field_rows(page: &mut String, fields: &Fields, path: &str, above: Option<&Field>) {
    for field in &fields.fields {
        let default = match &field.default {
            _ if field.required => "required".to_owned(),
            Some(value) if !value.is_object() => format!("`{}`", toml_text::of(value)),
            _ => String::new(),
        };
        let name = format!("{path}{}", field.name);
        let by = match above.unwrap_or(field).scope {
            Scope::Studio => "the studio",
            Scope::Project => "the studio, a project",
            Scope::Local => "the studio, a machine",
        };
        let values = cell(&values(&field.kind));
        let _ = writeln!(
            page,
            "| `{name}` | {values} | {} | {by} | {} |",
            cell(&default),
            cell(&meaning(field))
        );
        if let Kind::Table(inner) = &field.kind {
            field_rows(page, inner, &format!("{name}."), Some(above.unwrap_or(field)));
        }
    }
}

fn meaning(field: &Field) -> String {
    let mut text = format!("**{}.** {}", field.title, field.description);
    if let Kind::Choice(choices) = &field.kind {
        for choice in choices.iter().filter(|choice| !choice.description.is_empty()) {
            let _ = write!(text, " `{}`: {}", choice.value, choice.description);
        }
    }
    if field.secret {
        text += " Secret: never shown.";
    }
    if field.per_platform {
        text += " May be a table of platforms.";
    }
    if !field.aliases.is_empty() {
        let aliases: Vec<String> = field.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(text, " Earlier: {}.", aliases.join(", "));
    }
    text
}

/// What a field takes, in words.
fn values(kind: &Kind) -> String {
    fn bounded<T: std::fmt::Display>(what: &str, least: Option<T>, most: Option<T>) -> String {
        match (least, most) {
            (Some(least), Some(most)) => format!("{what}, {least} to {most}"),
            (Some(least), None) => format!("{what}, at least {least}"),
            (None, Some(most)) => format!("{what}, at most {most}"),
            (None, None) => what.to_owned(),
        }
    }
    match kind {
        Kind::Text { least: 0, most: None } => "string".into(),
        Kind::Text { least, most } => {
            format!("{} characters", bounded("string", Some(least), most.as_ref()))
        }
        Kind::Boolean => "bool".into(),
        // Bounds that only come from how wide the number is stored say nothing.
        Kind::Integer { least, most } => {
            let most = most.filter(|most| *most < i32::MAX.into());
            let least = least.filter(|least| *least > i32::MIN.into());
            bounded("whole number", least, most)
        }
        Kind::Number { least, most } => bounded("number", *least, *most),
        Kind::Choice(choices) => {
            let all = choices.iter().map(|choice| format!("`\"{}\"`", choice.value));
            all.collect::<Vec<_>>().join(", ")
        }
        Kind::List(of) => format!("array of: {}", values(of)),
        Kind::Table(_) => "table".into(),
        Kind::Map(of) => format!("table with any keys of: {}", values(of)),
        _ => "see there".into(),
    }
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
