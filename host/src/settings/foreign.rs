//! A provider's own settings: what they mean is not known here, so they are handed on as JSON,
//! with variables filled in and path tables resolved.

use toml::de::DeValue;

use super::context::{Context, Platform};
use super::expand::{Trouble, expand};
use super::read::{Field, Report, fields};
use super::roots::platform_path;
use super::source::{Span, is_secret};

/// Returns a provider's value as JSON, filled in. What only this machine lacks goes to `troubles`.
pub(super) fn foreign(
    field: &Field<'_>,
    troubles: &mut Vec<(Span, Trouble)>,
    report: &mut Report<'_>,
    context: &Context,
) -> Option<serde_json::Value> {
    use serde_json::Value;

    match field.value {
        DeValue::String(text) => match expand(text, None, context) {
            Ok(text) => Some(Value::String(text)),
            Err(trouble) => {
                troubles.push((field.span, discreet(field.name, text, trouble)));
                None
            }
        },
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(value) => Some(Value::String(value.to_string())),
        DeValue::Integer(integer) => {
            let (text, radix) = (integer.as_str(), integer.radix());
            let value = i64::from_str_radix(text, radix).map(Value::from);
            let value = value.or_else(|_| u64::from_str_radix(text, radix).map(Value::from)).ok();
            if value.is_none() {
                let message = format!("`{}` is too large a number", field.name);
                report.error(field.span, message, "it must fit into 64 bits");
            }
            value
        }
        DeValue::Float(float) => {
            let value = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            if value.is_none() {
                let message = format!("`{}` is not a finite number", field.name);
                report.error(field.span, message, "write a number such as `1.5`");
            }
            value.map(Value::Number)
        }
        DeValue::Array(array) => {
            let mut values = Vec::new();
            for value in array.iter() {
                let item = Field { value: value.get_ref(), span: value.span().into(), ..*field };
                values.extend(foreign(&item, troubles, report, context));
            }
            Some(Value::Array(values))
        }
        DeValue::Table(table) => {
            let table = fields(table);
            let is_platform = |field: &Field<'_>| {
                Platform::NAMES.contains(&field.name) && matches!(field.value, DeValue::String(_))
            };
            if !table.is_empty() && table.iter().all(is_platform) {
                return match platform_path(field, &table, report, context.platform)? {
                    Ok(path) => match expand(&path, None, context) {
                        Ok(path) => Some(Value::String(path)),
                        Err(trouble) => {
                            troubles.push((field.span, trouble));
                            None
                        }
                    },
                    Err(trouble) => {
                        troubles.push((field.key, trouble));
                        None
                    }
                };
            }
            let mut values = serde_json::Map::new();
            for field in &table {
                if let Some(value) = foreign(field, troubles, report, context) {
                    values.insert(field.name.to_owned(), value);
                }
            }
            Some(Value::Object(values))
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
