//! A provider's own settings: what they mean is not known here, so they are handed on as JSON,
//! with variables filled in and path tables resolved.

use super::context::Context;
use super::expand::{Trouble, expand};
use super::read::{Field, Report, fields};
use super::roots::platform_path;
use super::source::{Span, is_secret};
use super::tree::Value;

/// Returns a provider's value as JSON, filled in. What only this machine lacks goes to `troubles`.
pub(super) fn foreign(
    field: &Field<'_>,
    troubles: &mut Vec<(Span, Trouble)>,
    report: &mut Report<'_>,
    context: &Context,
) -> Option<serde_json::Value> {
    use serde_json::Value as Json;

    match field.value {
        Value::String(text) => match expand(text, None, context) {
            Ok(text) => Some(Json::String(text)),
            Err(trouble) => {
                troubles.push((field.span, discreet(field.name, text, trouble)));
                None
            }
        },
        Value::Boolean(value) => Some(Json::Bool(*value)),
        Value::Datetime(value) => Some(Json::String(value.clone())),
        Value::Integer(integer) => {
            let (text, radix) = (integer.digits.as_str(), integer.radix);
            let value = i64::from_str_radix(text, radix).map(Json::from);
            let value = value.or_else(|_| u64::from_str_radix(text, radix).map(Json::from)).ok();
            if value.is_none() {
                let message = format!("`{}` is too large a number", field.name);
                report.error(field.span, message, "it must fit into 64 bits");
            }
            value
        }
        Value::Float(float) => {
            let value = float.parse().ok().and_then(serde_json::Number::from_f64);
            if value.is_none() {
                let message = format!("`{}` is not a finite number", field.name);
                report.error(field.span, message, "write a number such as `1.5`");
            }
            value.map(Json::Number)
        }
        Value::Array(array) => {
            let mut values = Vec::new();
            for value in array.iter() {
                let item = Field { value: &value.value, span: value.span, ..*field };
                values.extend(foreign(&item, troubles, report, context));
            }
            Some(Json::Array(values))
        }
        Value::Paths(paths) => {
            match platform_path(field, &fields(paths), report, context.platform)? {
                Ok(path) => match expand(&path, None, context) {
                    Ok(path) => Some(Json::String(path)),
                    Err(trouble) => {
                        troubles.push((field.span, trouble));
                        None
                    }
                },
                Err(trouble) => {
                    troubles.push((field.key, trouble));
                    None
                }
            }
        }
        Value::Table(table) => {
            let mut values = serde_json::Map::new();
            for field in &fields(table) {
                if let Some(value) = foreign(field, troubles, report, context) {
                    values.insert(field.name.to_owned(), value);
                }
            }
            Some(Json::Object(values))
        }
    }
}

/// A part of a password that looks like a variable is not to be told.
fn discreet(key: &str, text: &str, trouble: Trouble) -> Trouble {
    let is_reference = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_reference = is_reference.is_some_and(|name| {
        name.chars().all(|character| {
            character == '_' || character.is_ascii_uppercase() || character.is_ascii_digit()
        })
    });
    if is_reference || !is_secret(key) {
        return trouble;
    }
    Trouble::new(
        format!("`{key}` holds a `{{` that begins no variable that is set"),
        "write `{{` for a `{` itself",
    )
}
