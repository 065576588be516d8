//! A site's own settings against what its provider declares of them.
//!
//! Every document is looked at by itself, so that each value is judged where it stands; only what
//! is missing is judged over all of them. What a declaration does not say is accepted here, and a
//! text with a placeholder in it is not looked into: the provider's own reading is the last word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use serde_json::Value as Json;
use sitesync_provider::Description;
use sitesync_provider::settings::{
    Choice, Field as Declaration, Fields as Declarations, Kind, Scope,
};

use super::Loaded;
use super::context::Platform;
use super::error::{Errors, Problem};
use super::layers::Layer;
use super::model::Site;
use super::nearest;
use super::read::{Field, Report, described, fields};
use super::secrets::exposed;
use super::sections::{PROJECT_SITE, SITE};
use super::source::{Source, Span, is_secret};
use super::tree::{Node, Table, Value};

/// By site: what its provider declares. A site that is not there is not looked at.
pub type BySite = BTreeMap<String, Arc<Declared>>;

/// What a provider declares of the settings of its sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    provider: String,
    label: String,
    fields: Declarations,
}

impl Declared {
    /// Returns what a provider says of itself, for sites that name it so.
    #[must_use]
    pub fn of(description: &Description) -> Self {
        Declared {
            provider: description.id.clone(),
            label: description.label.clone(),
            fields: description.fields(),
        }
    }

    /// Returns the provider's id.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn fields(&self) -> &Declarations {
        &self.fields
    }
}

/// Checks the provider's own settings of the sites that `declared` names; others are left alone.
/// Returns what is worth knowing.
///
/// # Errors
/// Everything that is wrong with them.
pub fn check(loaded: &Loaded, declared: &BySite) -> Result<Vec<Problem>, Errors> {
    let secret = declared.values().flat_map(|declared| secrets(&declared.fields)).collect();
    let sources: Vec<Source> =
        loaded.sources.iter().map(|source| source.clone().hiding(&secret)).collect();
    let mut report = Report::new(&sources);
    for (name, declared) in declared {
        let Some(site) = loaded.settings.sites.get(name) else { continue };
        let mut given = BTreeSet::new();
        for document in loaded.origins.layers().each() {
            let sites = document.table.table("sites");
            let Some(table) = sites.and_then(|sites| sites.table(name)) else { continue };
            let own = fields(table).into_iter().filter(|field| !SITE.contains(&field.name));
            for field in own {
                given.insert(field.name);
                check_setting(&field, site, document.layer, declared, &mut report);
            }
        }
        check_missing(site, &given, declared, &mut report);
    }
    check_projects(loaded, declared, &mut report);
    let (errors, notes) = report.finish();
    if errors.is_empty() { Ok(notes) } else { Err(Errors::new(errors, notes)) }
}

/// Keeps what these providers declare as secret from being shown by [`Loaded::origins`].
pub fn hide(loaded: &mut Loaded, declared: &BySite) {
    for (site, declared) in declared {
        loaded.origins.hide(site, secrets(&declared.fields));
    }
}

/// Returns a note that a site's own settings are kept as they are, and why they are not checked.
#[must_use]
pub fn unchecked(loaded: &Loaded, site: &Site, why: &str, remedy: &str) -> Problem {
    let message = format!("the settings of site `{}` are kept, and not checked: {why}", site.name);
    let span = site.span.unwrap_or_default();
    loaded.source(span).note(span, message).help(remedy)
}

fn check_setting(
    field: &Field<'_>,
    site: &Site,
    layer: Layer,
    declared: &Declared,
    report: &mut Report<'_>,
) {
    let Declared { provider, fields, .. } = declared;
    let found = fields.get(field.name);
    let scope = found.map(|declaration| declaration.scope).unwrap_or_default();
    // What nobody declared, nobody opened. Where it is refused, it is so everywhere.
    if !may_stand(scope, &site.name, layer) && (found.is_some() || !fields.closed) {
        let message = format!("`{}` cannot be set for one machine alone", field.name);
        let open = fields.fields.iter().filter(|field| field.scope == Scope::Local);
        let open: Vec<&str> = open.map(|field| field.name.as_str()).collect();
        let hint = format!("it belongs in sitesync.toml, in [sites.{}]", site.name);
        let hint = match open.as_slice() {
            [] => hint,
            open => format!("{hint}; a machine's own may be {}", nearest::listed(open)),
        };
        return report.error(field.key, message, hint);
    }
    let Some(declaration) = found else {
        return unknown(field, declared, report);
    };
    renamed(field, declaration, provider, report);
    if declaration.secret && !is_secret(field.name) {
        exposed(field, report);
    }
    Check { declaration, report }.value(field, field.name, &declaration.kind);
}

/// Checks what projects set of sites, for themselves.
fn check_projects(loaded: &Loaded, declared: &BySite, report: &mut Report<'_>) {
    for document in loaded.origins.layers().each() {
        let Some(projects) = document.table.table("projects") else { continue };
        let with_sites = projects.nodes.values().filter_map(|project| project.value.table());
        let sites = with_sites.filter_map(|project| project.table("sites"));
        for (name, node) in sites.flat_map(|sites| &sites.nodes) {
            let site = loaded.settings.sites.get(name);
            let known = site.zip(declared.get(name)).zip(node.value.table());
            let Some(((site, declared), table)) = known else { continue };
            let own = fields(table).into_iter();
            for field in own.filter(|field| !PROJECT_SITE.contains(&field.name)) {
                let found = declared.fields.get(field.name);
                let opened = found.is_some_and(|found| found.scope == Scope::Project);
                if opened || (found.is_none() && !SITE.contains(&field.name)) {
                    check_setting(&field, site, document.layer, declared, report);
                } else if let Some(found) = found {
                    let message = format!("`{}` cannot be set for one project", found.name);
                    let all = format!("it stands in [sites.{}], for all projects", site.name);
                    report.error(field.key, message, all);
                }
            }
        }
    }
}

fn check_missing(
    site: &Site,
    given: &BTreeSet<&str>,
    declared: &Declared,
    report: &mut Report<'_>,
) {
    let Some(span) = site.span else { return };
    for missing in missing(&declared.fields, given) {
        let provider = &declared.provider;
        report.error(
            span,
            format!("site `{}` has no `{}`, which `{provider}` needs", site.name, missing.name),
            format!("add `{}`{}", example(missing), explained(missing)),
        );
    }
}

/// Whether a value of this scope may stand in a layer, as a value of `[sites.NAME]`. The site
/// `local` is the machine's own: there, all may.
fn may_stand(scope: Scope, site: &str, layer: Layer) -> bool {
    layer != Layer::Local || scope == Scope::Local || site == "local"
}

fn unknown(field: &Field<'_>, declared: &Declared, report: &mut Report<'_>) {
    let Declared { provider, fields, .. } = declared;
    let message = format!("provider `{provider}` has no setting `{}`", field.name.escape_debug());
    let names = fields.fields.iter().map(|field| field.name.as_str());
    let near = nearest::nearest(field.name, names.clone().chain(SITE));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if fields.fields.is_empty() => "it has none: remove this line".to_owned(),
        None => format!("it has {}", nearest::listed(&names.collect::<Vec<_>>())),
    };
    if fields.closed {
        report.error(field.key, message, hint);
    } else {
        report.note(field.key, message, hint);
    }
}

fn renamed(field: &Field<'_>, declaration: &Declaration, provider: &str, report: &mut Report<'_>) {
    if field.name != declaration.name {
        let message = format!("`{}` is an old name of a setting of `{provider}`", field.name);
        report.note(field.key, message, format!("write `{}`", declaration.name));
    }
}

/// Checks the values of one setting.
struct Check<'a, 'r, 's> {
    /// The setting, also where a value deep in it is looked at.
    declaration: &'a Declaration,
    report: &'r mut Report<'s>,
}

impl Check<'_, '_, '_> {
    /// `name` is what the value is called.
    fn value(&mut self, field: &Field<'_>, name: &str, kind: &Kind) {
        if let Value::Paths(table) | Value::Table(table) = field.value
            && matches!(kind, Kind::Text { .. } | Kind::Choice(_))
            && table.nodes.keys().any(|key| is_platform(key))
        {
            return self.platforms(field, &fields(table), name, kind);
        }
        match (kind, field.value) {
            (Kind::Any, _) | (Kind::Boolean, Value::Boolean(_)) => {}
            (Kind::Text { least, most }, Value::String(text)) => {
                let count = text.chars().count() as u64;
                if !within(&count, Some(least), most.as_ref()) && !has_placeholder(text) {
                    self.wrong_length(field, name, count, *least, *most);
                }
            }
            // Handed on as text.
            (Kind::Text { .. }, Value::Datetime(_)) => {}
            (Kind::Choice(choices), Value::String(text)) => {
                let known = choices.iter().any(|choice| choice.value == *text);
                if !known && !has_placeholder(text) {
                    self.no_choice(field, name, text, choices);
                }
            }
            (Kind::Integer { least, most }, Value::Integer(integer)) => {
                let value = i128::from_str_radix(&integer.digits, integer.radix).ok();
                if !value.is_some_and(|value| within(&value, least.as_ref(), most.as_ref())) {
                    self.out_of_range(field, name, &integer.text, *least, *most);
                }
            }
            (Kind::Number { least, most }, Value::Integer(_) | Value::Float(_)) => {
                let text = match field.value {
                    Value::Integer(integer) => &integer.text,
                    Value::Float(text) => text,
                    _ => return,
                };
                let value: Option<f64> = text.parse().ok();
                // What is no plain number (`inf`, `0xff`) is the reader's and the provider's.
                let out = value.is_some_and(|value| !within(&value, least.as_ref(), most.as_ref()));
                if out {
                    self.out_of_range(field, name, text, *least, *most);
                }
            }
            (Kind::List(kind), Value::Array(array)) => {
                let name = format!("an entry of `{name}`");
                for Node { value, span, .. } in array {
                    self.value(&Field { value, span: *span, ..*field }, &name, kind);
                }
            }
            (Kind::Map(kind), Value::Table(table) | Value::Paths(table)) => {
                for inner in fields(table) {
                    self.value(&inner, &format!("{name}.{}", inner.name), kind);
                }
            }
            (Kind::Table(known), Value::Table(table) | Value::Paths(table)) => {
                self.table(field, table, name, known)
            }
            _ => self.wrong_type(field, name, kind),
        }
    }

    fn table(&mut self, field: &Field<'_>, table: &Table, name: &str, known: &Declarations) {
        let table = fields(table);
        for inner in &table {
            match known.get(inner.name) {
                Some(declaration) => {
                    // All that lies in a secret is one.
                    let outer = self.declaration;
                    let declaration = if outer.secret { outer } else { declaration };
                    let kind = known.get(inner.name).map_or(&Kind::Any, |field| &field.kind);
                    let name = format!("{name}.{}", inner.name);
                    let mut check = Check { declaration, report: &mut *self.report };
                    check.value(inner, &name, kind);
                }
                None if known.closed => {
                    let names: Vec<&str> = known.fields.iter().map(|f| f.name.as_str()).collect();
                    let hint = nearest::advice(inner.name, &names);
                    let message =
                        format!("there is no key `{}` in `{name}`", inner.name.escape_debug());
                    self.error(inner.key, inner.key, message, hint);
                }
                None => {}
            }
        }
        let given = table.iter().map(|field| field.name).collect();
        for missing in missing(known, &given) {
            let hint = format!("add `{}`{}", example(missing), explained(missing));
            let message = format!("`{name}` has no `{}`", missing.name);
            self.error(field.key, field.key, message, hint);
        }
    }

    /// A table of platforms in the place of one text.
    fn platforms(&mut self, field: &Field<'_>, table: &[Field<'_>], name: &str, kind: &Kind) {
        if !self.declaration.per_platform {
            let message = format!("`{name}` is the same on all platforms");
            let hint = format!("write `{}`", example(self.declaration));
            return self.error(field.key, field.key, message, hint);
        }
        for platform in table {
            if is_platform(platform.name) {
                self.value(platform, &format!("{name}.{}", platform.name), kind);
                continue;
            }
            let hint = match platform.name {
                "macos" | "mac" | "osx" => "did you mean `darwin`?".to_owned(),
                other => nearest::advice(other, &Platform::NAMES),
            };
            let message = format!("there is no platform `{}`", platform.name.escape_debug());
            self.error(platform.key, platform.key, message, hint);
        }
    }

    fn wrong_type(&mut self, field: &Field<'_>, name: &str, kind: &Kind) {
        let message =
            format!("{} must be {}, not {}", ticked(name), wanted(kind), described(field.value));
        let hint = format!("for example `{}`", example(self.declaration));
        self.error(field.key, field.span, message, hint);
    }

    fn no_choice(&mut self, field: &Field<'_>, name: &str, text: &str, choices: &[Choice]) {
        let names = choices.iter().map(|choice| choice.value.as_str());
        let hint = match nearest::nearest(text, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("for example `{}`", example(self.declaration)),
        };
        let found = if self.declaration.secret {
            String::new()
        } else {
            format!(", not `{}`", text.escape_debug())
        };
        self.error(
            field.key,
            field.span,
            format!("{} must be {}{found}", ticked(name), one_of(choices)),
            hint,
        );
    }

    fn wrong_length(
        &mut self,
        field: &Field<'_>,
        name: &str,
        count: u64,
        least: u64,
        most: Option<u64>,
    ) {
        let found = match (self.declaration.secret, count) {
            (true, _) => "has the wrong length".to_owned(),
            (false, 0) => "is empty".to_owned(),
            (false, 1) => "has 1 character".to_owned(),
            (false, count) => format!("has {count} characters"),
        };
        let hint = format!("{} characters", allowed(Some(least), most));
        self.error(field.key, field.span, format!("{} {found}", ticked(name)), hint);
    }

    fn out_of_range<T: Display>(
        &mut self,
        field: &Field<'_>,
        name: &str,
        found: &str,
        least: Option<T>,
        most: Option<T>,
    ) {
        let found = if self.declaration.secret { String::new() } else { format!(": {found}") };
        let message = format!("{} is out of range{found}", ticked(name));
        self.error(field.key, field.span, message, allowed(least, most));
    }

    /// Of a secret, only the key is pointed at: its value may go on in lines that do not name it.
    fn error(&mut self, key: Span, value: Span, message: String, hint: String) {
        let span = if self.declaration.secret { key } else { value };
        self.report.error(span, message, hint);
    }
}

fn allowed<T: Display>(least: Option<T>, most: Option<T>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("allowed is {least} to {most}"),
        (Some(least), None) => format!("allowed is at least {least}"),
        (None, Some(most)) => format!("allowed is at most {most}"),
        (None, None) => "allowed is another number".to_owned(),
    }
}

fn within<T: PartialOrd>(value: &T, least: Option<&T>, most: Option<&T>) -> bool {
    least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
}

fn missing<'a>(
    fields: &'a Declarations,
    given: &BTreeSet<&str>,
) -> impl Iterator<Item = &'a Declaration> {
    fields.fields.iter().filter(|field| {
        let named = |name: &str| given.contains(name);
        field.required && !named(&field.name) && !field.aliases.iter().any(|name| named(name))
    })
}

/// The names of all settings that are secret, also of those that lie in others.
fn secrets(fields: &Declarations) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for field in &fields.fields {
        if field.secret {
            names.extend(field.aliases.iter().chain([&field.name]).cloned());
        }
        let mut kind = &field.kind;
        while let Kind::List(of) | Kind::Map(of) = kind {
            kind = of;
        }
        if let Kind::Table(inner) = kind {
            names.extend(secrets(inner));
        }
    }
    names
}

fn is_platform(name: &str) -> bool {
    Platform::NAMES.contains(&name)
}

/// Whether a text stands for another one.
fn has_placeholder(text: &str) -> bool {
    text.contains('{') || text.starts_with('~')
}

/// A name in backticks, unless it has some already.
fn ticked(name: &str) -> String {
    if name.contains('`') { name.to_owned() } else { format!("`{name}`") }
}

fn one_of(choices: &[Choice]) -> String {
    let names: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
    nearest::listed(&names).replace(", ", " or ")
}

/// What a value has to be, with its article.
fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Text { .. } => "a string".into(),
        Kind::Choice(choices) => one_of(choices),
        Kind::Boolean => "`true` or `false`".into(),
        Kind::Integer { .. } => "a whole number".into(),
        Kind::Number { .. } => "a number".into(),
        Kind::List(of) => match **of {
            Kind::Text { .. } | Kind::Choice(_) => "an array of strings".into(),
            Kind::Integer { .. } | Kind::Number { .. } => "an array of numbers".into(),
            Kind::Table(_) | Kind::Map(_) => "an array of tables".into(),
            _ => "an array".into(),
        },
        Kind::Table(_) | Kind::Map(_) => "a table".into(),
        _ => "something else".into(),
    }
}

/// A line that sets a setting.
fn example(field: &Declaration) -> String {
    let empty =
        |value: &Json| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
    let default = field.default.as_ref().filter(|value| !empty(value));
    let value = default.map_or_else(|| example_of(&field.kind), super::toml_text::of);
    format!("{} = {value}", field.name)
}

fn example_of(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "true".into(),
        Kind::Integer { least, .. } => least.unwrap_or(1).max(1).to_string(),
        Kind::Number { least, .. } => least.unwrap_or(1.0).max(1.0).to_string(),
        Kind::Choice(choices) => {
            let first = choices.first().map(|choice| choice.value.clone());
            super::toml_text::of(&Json::String(first.unwrap_or_default()))
        }
        Kind::List(of) => format!("[{}]", example_of(of)),
        Kind::Table(fields) => {
            let needed = fields.fields.iter().filter(|field| field.required);
            let inner: Vec<String> = needed.map(example).collect();
            if inner.is_empty() { "{}".into() } else { format!("{{ {} }}", inner.join(", ")) }
        }
        Kind::Map(of) => format!("{{ name = {} }}", example_of(of)),
        _ => "\"...\"".into(),
    }
}

fn explained(field: &Declaration) -> String {
    let first = field.description.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    if first.is_empty() { first } else { format!(": {first}") }
}
