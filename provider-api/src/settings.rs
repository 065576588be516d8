//! What a provider declares of its settings: the JSON Schema of [`Description::settings`], read
//! into fields.
//!
//! This is the one place that knows the extensions. They stand on a field as
//! `#[schemars(extend("x-scope" = "local"))]`:
//!
//! | extension | value | meaning |
//! |---|---|---|
//! | `x-scope` | `studio` (default), `project`, `local` | [`Scope`] |
//! | `x-part` | `connection` (default), `site` | [`Part`] |
//! | `x-secret` | `true` | [`Field::secret`] |
//! | `x-per-platform` | `true` | [`Field::per_platform`] |
//! | `x-aliases` | array of strings | [`Field::aliases`] |
//!
//! Of JSON Schema, what schemars 1 makes of structs, enums of unit variants, options, numbers,
//! texts, arrays and maps is understood. All else is [`Kind::Any`]: then the provider's own
//! reading is the only check.

use serde_json::{Map, Value};

use crate::Description;

/// How deep settings within settings are understood.
const DEEPEST: usize = 8;

/// The fields of a provider's settings, or of a table in them, sorted by name.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Fields {
    /// The fields.
    pub fields: Vec<Field>,
    /// Keys that are none of these are refused (`#[serde(deny_unknown_fields)]`).
    pub closed: bool,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// The key: `credentials_file`.
    pub name: String,
    /// What people call it: the schema's `title`, or made of the name: `Credentials file`.
    pub title: String,
    /// The doc comment.
    pub description: String,
    /// The value that counts where none is given; `None` for no value.
    pub default: Option<Value>,
    /// There is no site without it.
    pub required: bool,
    /// Who may set it.
    pub scope: Scope,
    /// What it belongs to.
    pub part: Part,
    /// The value is never shown.
    pub secret: bool,
    /// It may be a table of platforms: `{ linux = ..., windows = ..., darwin = ... }`.
    pub per_platform: bool,
    /// Earlier names that the provider still reads (`#[serde(alias)]`).
    pub aliases: Vec<String>,
    /// What values it takes.
    pub kind: Kind,
}

/// Who may set a field besides the studio's own file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nobody.
    #[default]
    Studio,
    /// A project, for itself.
    Project,
    /// A machine, for itself.
    Local,
}

impl Scope {
    /// The word of `x-scope`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Studio => "studio",
            Scope::Project => "project",
            Scope::Local => "local",
        }
    }
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    /// The connection: sites that differ in it share no instance.
    #[default]
    Connection,
    /// The site: it comes with each `open_root`, and counts for that root.
    Site,
}

/// What values a field takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Text of so many characters.
    Text {
        /// At least.
        least: u64,
        /// At most.
        most: Option<u64>,
    },
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// At least.
        least: Option<i128>,
        /// At most.
        most: Option<i128>,
    },
    /// A number.
    Number {
        /// At least.
        least: Option<f64>,
        /// At most.
        most: Option<f64>,
    },
    /// One of these texts.
    Choice(Vec<Choice>),
    /// An array of these.
    List(Box<Kind>),
    /// A table of these fields.
    Table(Fields),
    /// A table with any keys.
    Map(Box<Kind>),
    /// Not understood: anything goes.
    Any,
}

/// A value of [`Kind::Choice`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// As it is written.
    pub value: String,
    /// The doc comment of the variant; may be empty.
    pub description: String,
}

impl Fields {
    /// The field of this name, or that once had it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        let now = self.fields.iter().find(|field| field.name == name);
        now.or_else(|| self.fields.iter().find(|field| field.aliases.iter().any(|a| a == name)))
    }

    fn of(schema: &Value, root: &Value, depth: usize) -> Self {
        let required = |name: &str| {
            let names = schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|known| known == name))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields = properties.into_iter().flatten().map(|(name, schema)| {
            let mut field = Field::of(name, schema, root, depth);
            field.required = required(name);
            field
        });
        // Parts that are put together say more than the properties do.
        let whole = ["allOf", "anyOf", "oneOf", "$ref", "patternProperties"]
            .iter()
            .all(|more| schema.get(more).is_none());
        let closed = whole && schema.get("additionalProperties") == Some(&Value::Bool(false));
        Fields { fields: fields.collect(), closed }
    }
}

impl Field {
    fn of(name: &str, schema: &Value, root: &Value, depth: usize) -> Self {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        let is = |key: &str| schema.get(key) == Some(&Value::Bool(true));
        let aliases = schema.get("x-aliases").and_then(Value::as_array);
        Field {
            name: name.to_owned(),
            title: text("title").map_or_else(|| title_of(name), str::to_owned),
            description: text("description").unwrap_or_default().to_owned(),
            default: schema.get("default").filter(|value| !value.is_null()).cloned(),
            required: false,
            scope: match text("x-scope") {
                Some("project") => Scope::Project,
                Some("local") => Scope::Local,
                _ => Scope::Studio,
            },
            part: if text("x-part") == Some("site") { Part::Site } else { Part::Connection },
            secret: is("x-secret"),
            per_platform: is("x-per-platform"),
            aliases: aliases
                .into_iter()
                .flatten()
                .filter_map(|alias| alias.as_str().map(str::to_owned))
                .collect(),
            kind: Kind::of(schema, root, depth),
        }
    }
}

impl Kind {
    fn of(schema: &Value, root: &Value, depth: usize) -> Self {
        if depth > DEEPEST {
            return Kind::Any;
        }
        let Some(schema) = schema.as_object() else {
            return Kind::Any;
        };
        if let Some(reference) = schema.get("$ref") {
            let place = reference.as_str().and_then(|text| text.strip_prefix('#'));
            let meant = place.and_then(|pointer| root.pointer(pointer));
            return meant.map_or(Kind::Any, |meant| Kind::of(meant, root, depth + 1));
        }
        // `Option` of what has a name.
        if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
            let is_null = |schema: &&Value| schema.get("type").is_some_and(|kind| kind == "null");
            let mut some = either.iter().filter(|schema| !is_null(schema));
            return match (some.next(), some.next()) {
                (Some(one), None) => Kind::of(one, root, depth + 1),
                _ => Kind::Any,
            };
        }
        if let Some(choices) = choices(schema) {
            return Kind::Choice(choices);
        }
        if schema.contains_key("oneOf") || schema.contains_key("allOf") {
            return Kind::Any;
        }
        let whole = Value::Object(schema.clone());
        match one_type(schema) {
            Some("string") => {
                let count = |key| schema.get(key).and_then(Value::as_u64);
                Kind::Text { least: count("minLength").unwrap_or(0), most: count("maxLength") }
            }
            Some("boolean") => Kind::Boolean,
            Some("integer") => integer(schema),
            Some("number") => {
                let bound = |key| schema.get(key).and_then(Value::as_f64);
                Kind::Number { least: bound("minimum"), most: bound("maximum") }
            }
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                Kind::List(Box::new(Kind::of(items, root, depth + 1)))
            }
            Some("object") if schema.contains_key("properties") => {
                Kind::Table(Fields::of(&whole, root, depth + 1))
            }
            Some("object") => {
                let values = schema.get("additionalProperties").unwrap_or(&Value::Null);
                Kind::Map(Box::new(Kind::of(values, root, depth + 1)))
            }
            _ => Kind::Any,
        }
    }
}

impl Description {
    /// The provider's settings, field by field.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Fields::of(&self.settings, &self.settings, 0)
    }
}

/// The type, apart from `null`; `None` if there are several.
fn one_type(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(several) => {
            let mut some = several.iter().filter_map(Value::as_str).filter(|one| *one != "null");
            let one = some.next();
            if some.next().is_none() { one } else { None }
        }
        _ => None,
    }
}

fn integer(schema: &Map<String, Value>) -> Kind {
    // Of the larger types, only the format tells the bounds.
    let (least, most): (Option<i128>, Option<i128>) =
        match schema.get("format").and_then(Value::as_str) {
            Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
            Some("int64" | "int") => (Some(i64::MIN.into()), Some(i64::MAX.into())),
            Some("uint32") => (Some(0), Some(u32::MAX.into())),
            Some("uint64" | "uint") => (Some(0), Some(u64::MAX.into())),
            _ => (None, None),
        };
    let bound = |key| {
        let value: Option<&Value> = schema.get(key);
        value.and_then(|value| {
            value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
        })
    };
    Kind::Integer { least: bound("minimum").or(least), most: bound("maximum").or(most) }
}

/// The texts that an enum of unit variants stands for: those with a doc comment as a `const` each,
/// the others together.
fn choices(schema: &Map<String, Value>) -> Option<Vec<Choice>> {
    let plain = |value: &Value| {
        let value = value.as_str()?.to_owned();
        Some(Choice { value, description: String::new() })
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        // An `Option` has `null` among them.
        return values.iter().filter(|value| !value.is_null()).map(plain).collect();
    }
    if let Some(value) = schema.get("const") {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        return Some(vec![Choice { description: text.to_owned(), ..plain(value)? }]);
    }
    let variants = schema.get("oneOf")?.as_array()?;
    let each = variants.iter().map(|variant| choices(variant.as_object()?));
    Some(each.collect::<Option<Vec<_>>>()?.concat())
}

/// `Credentials file` of `credentials_file`.
fn title_of(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => words,
    }
}
