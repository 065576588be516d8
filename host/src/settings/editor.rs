//! The JSON Schema of `sitesync.toml`, for editors: what they complete, explain and underline.
//!
//! Everything is written out where it is used, and no `allOf` stands beside `properties`: editors
//! that complete by schema follow neither references everywhere nor conditions. So a site lists the
//! keys of all providers, for completion, and a condition on `provider` says which of them hold.

use serde_json::{Map, Value, json};
use sitesync_provider::settings::{Field, Fields, Kind, Scope};

use super::keys::{self, Absent, Key, NAME};
use super::provider::Declared;

/// Which provider a site has that names none.
const BUILT_IN: &str = "local_drive";

/// Returns the schema (draft 2020-12) of a `sitesync.toml` whose sites use these providers.
#[must_use]
pub fn schema(declared: &[Declared]) -> Value {
    let required = site(declared, None);
    let built_in = site(declared, Some(BUILT_IN));
    let mut sync = table(&[keys::SYNC.keys, keys::LISTING]);
    sync["description"] = keys::SYNC.about.into();
    let mut project = table(&[keys::SYNC.keys]);
    let mut seen = table(&[keys::PROJECT_SITE.keys]);
    seen["description"] = keys::PROJECT_SITE.about.into();
    // Which provider the site has is not known there: any of these may stand.
    for one in declared {
        let mut open = one.fields().clone();
        open.fields.retain(|field| field.scope == Scope::Project);
        for (name, schema) in fields(&open) {
            let either = &mut seen["properties"][name];
            match either.get_mut("anyOf").and_then(Value::as_array_mut) {
                Some(either) => either.push(schema),
                None => *either = json!({ "anyOf": [schema] }),
            }
        }
    }
    project["properties"]["sites"] = names(seen);
    let mut sites = names(required);
    sites["properties"] = json!({ "studio": built_in.clone(), "local": built_in });
    let mut whole = table(&[keys::TOP.keys]);
    let properties = &mut whole["properties"];
    for section in [keys::HOST, keys::PLUGINS] {
        properties[section.header] = table(&[section.keys]);
        properties[section.header]["description"] = section.about.into();
    }
    properties["sync"] = sync;
    properties["sites"] = sites;
    properties["projects"] = names(project);
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    whole["title"] = "sitesync.toml".into();
    whole
}

/// A table with names as keys.
fn names(values: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": values })
}

/// A table of the host's own keys, and nothing else.
fn table(keys: &[&[Key]]) -> Value {
    let keys: Map<String, Value> = keys.iter().copied().flatten().map(own).collect();
    json!({ "type": "object", "properties": keys, "additionalProperties": false })
}

fn own(key: &Key) -> (String, Value) {
    let mut schema = key.kind.schema();
    schema["description"] = without_links(key.meaning).into();
    if let Absent::Toml(text) = key.default
        && let Ok(default) = toml::from_str::<Map<String, Value>>(&format!("v = {text}"))
    {
        schema["default"] = default["v"].clone();
    }
    (key.name.to_owned(), schema)
}

/// A site; `default` is the provider that it has without naming one.
fn site(declared: &[Declared], default: Option<&str>) -> Value {
    let mut properties: Map<String, Value> = keys::SITE.keys.iter().map(own).collect();
    let known: Vec<&str> = declared.iter().map(Declared::provider).collect();
    // Others may be installed later.
    properties["provider"]["anyOf"] = json!([{ "enum": known }, true]);
    for (name, schema) in declared.iter().flat_map(|one| fields(one.fields())) {
        let either = properties.entry(name).or_insert_with(|| json!({ "anyOf": [true] }));
        // Whether it holds is said below: here, anything may stand.
        if let Some(either) = either.get_mut("anyOf").and_then(Value::as_array_mut) {
            either.insert(either.len() - 1, schema);
        }
    }
    let mut site = json!({ "type": "object", "properties": properties });
    site["description"] = keys::SITE.about.into();
    if default.is_none() {
        site["required"] = json!(["provider"]);
    }
    let mut conditions = None;
    for one in declared.iter().rev() {
        let mut condition = json!({ "properties": { "provider": { "const": one.provider() } } });
        if default != Some(one.provider()) {
            condition["required"] = json!(["provider"]);
        }
        let mut choice = json!({ "if": condition, "then": particular(one.fields()) });
        if let Some(otherwise) = conditions {
            choice["else"] = otherwise;
        }
        conditions = Some(choice);
    }
    if let (Some(Value::Object(conditions)), Value::Object(site)) = (conditions, &mut site) {
        site.extend(conditions);
    }
    site
}

/// What holds for the sites of one provider.
fn particular(declared: &Fields) -> Value {
    let mut schema = object(declared);
    schema.as_object_mut().map(|schema| schema.remove("additionalProperties"));
    if declared.closed {
        let own = keys::SITE.keys.iter().map(|key| key.name.to_owned());
        let names: Vec<String> = own.chain(fields(declared).map(|(name, _)| name)).collect();
        schema["propertyNames"] = json!({ "enum": names });
    }
    schema
}

/// A table of these fields.
fn object(declared: &Fields) -> Value {
    let properties: Map<String, Value> = fields(declared).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if declared.closed {
        schema["additionalProperties"] = false.into();
    }
    let required = declared.fields.iter().filter(|field| field.required);
    let required: Vec<Value> = required
        .map(|field| {
            let names = std::iter::once(&field.name).chain(&field.aliases);
            json!({ "anyOf": names.map(|name| json!({ "required": [name] })).collect::<Vec<_>>() })
        })
        .collect();
    if !required.is_empty() {
        schema["allOf"] = required.into();
    }
    schema
}

/// Each field by its name, and by its earlier ones; the host's own keys go before them.
fn fields(declared: &Fields) -> impl Iterator<Item = (String, Value)> {
    let hosts = |name: &str| keys::SITE.keys.iter().any(|key| key.name == name);
    declared.fields.iter().filter(move |field| !hosts(&field.name)).flat_map(|field| {
        let schema = of_field(field);
        let aliases = field.aliases.iter().map(|alias| {
            (
                alias.clone(),
                json!({ "description": format!("Now `{}`.", field.name), "deprecated": true }),
            )
        });
        std::iter::once((field.name.clone(), schema.clone())).chain(aliases.collect::<Vec<_>>())
    })
}

fn of_field(field: &Field) -> Value {
    let mut schema = of_kind(&field.kind);
    if field.per_platform {
        schema = json!({ "anyOf": [schema, keys::platforms()] });
    }
    schema["title"] = field.title.clone().into();
    let mut description = field.description.clone();
    if let Kind::Choice(choices) = &field.kind {
        for choice in choices.iter().filter(|choice| !choice.description.is_empty()) {
            description += &format!("\n\n`{}`: {}", choice.value, choice.description);
        }
    }
    schema["description"] = without_links(&description).into();
    if let Some(default) = &field.default {
        schema["default"] = default.clone();
    }
    if field.secret {
        schema["writeOnly"] = true.into();
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    fn bounds<T: Into<Value>>(kind: &str, least: Option<T>, most: Option<T>) -> Value {
        let mut schema = json!({ "type": kind });
        for (key, bound) in [("minimum", least), ("maximum", most)] {
            if let Some(bound) = bound {
                schema[key] = bound.into();
            }
        }
        schema
    }
    match kind {
        // Not the longest: a placeholder may stand for less than it is long.
        Kind::Text { least, .. } if *least > 0 => json!({ "type": "string", "minLength": least }),
        Kind::Text { .. } => json!({ "type": "string" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer { least, most } => {
            let bound = |bound: &Option<i128>| bound.and_then(|bound| i64::try_from(bound).ok());
            bounds("integer", bound(least), bound(most))
        }
        Kind::Number { least, most } => bounds("number", *least, *most),
        Kind::Choice(choices) => {
            json!({ "enum": choices.iter().map(|choice| &choice.value).collect::<Vec<_>>() })
        }
        Kind::List(of) => json!({ "type": "array", "items": of_kind(of) }),
        Kind::Table(fields) => object(fields),
        Kind::Map(of) => json!({ "type": "object", "additionalProperties": of_kind(of) }),
        _ => json!({}),
    }
}

/// Markdown without its links, which lead nowhere from an editor.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((label, behind)) = after.split_once("](") else { break };
        let Some((_, behind)) = behind.split_once(')') else { break };
        plain += before;
        plain += label;
        rest = behind;
    }
    plain + rest
}
