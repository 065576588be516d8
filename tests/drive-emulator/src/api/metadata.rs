//! What a client says of a file in the body of a request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resource::FILE;
use crate::bugs::Bug;
use crate::clock;
use crate::fields::Shape;
use crate::refusal::Refusal;
use crate::state::{Item, State};

/// Metadata that may be written.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) mime: Option<String>,
    pub(super) parents: Option<Vec<String>>,
    pub(super) trashed: Option<bool>,
    pub(super) modified: Option<i64>,
    pub(super) target: Option<String>,
    created: Option<i64>,
    description: Option<String>,
    starred: Option<bool>,
    properties: BTreeMap<String, Option<String>>,
    app_properties: BTreeMap<String, Option<String>>,
}

impl Metadata {
    /// Reads an object of fields. `new`: of a file that is being made, which may have an id,
    /// parents and a time of creation.
    pub(super) fn read(object: &Value, new: bool) -> Result<Metadata, Refusal> {
        let mut metadata = Metadata::default();
        for (name, value) in object.as_object().into_iter().flatten() {
            let wrong =
                || Refusal::invalid("resource", format!("Invalid value for {name}: {value}"));
            let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
            let instant = || value.as_str().and_then(clock::parse).ok_or_else(wrong);
            let truth = || value.as_bool().ok_or_else(wrong);
            match name.as_str() {
                "id" if new => metadata.id = Some(text()?),
                "parents" if new => {
                    let parents = value.as_array().ok_or_else(wrong)?.iter();
                    let parents = parents.map(|parent| parent.as_str().map(str::to_owned));
                    metadata.parents = Some(parents.collect::<Option<_>>().ok_or_else(wrong)?);
                }
                "createdTime" if new => metadata.created = Some(instant()?),
                "name" => metadata.name = Some(text()?),
                "mimeType" => metadata.mime = Some(text()?),
                "description" => metadata.description = Some(text()?),
                "trashed" => metadata.trashed = Some(truth()?),
                "starred" => metadata.starred = Some(truth()?),
                "modifiedTime" => metadata.modified = Some(instant()?),
                "properties" => metadata.properties = pairs(value).ok_or_else(wrong)?,
                "appProperties" => metadata.app_properties = pairs(value).ok_or_else(wrong)?,
                "shortcutDetails" => {
                    let target = value["targetId"].as_str().ok_or_else(wrong)?;
                    metadata.target = Some(target.to_owned());
                }
                // Understood by Drive, without a consequence here.
                "kind"
                | "contentHints"
                | "originalFilename"
                | "copyRequiresWriterPermission"
                | "writersCanShare"
                | "viewedByMeTime"
                | "folderColorRgb"
                | "driveId"
                | "teamDriveId" => {}
                "parents" => {
                    let message = "The parents field is not directly writable in update requests. \
                        Use the addParents and removeParents parameters instead.";
                    return Err(Refusal::new(403, "fieldNotWritable", message));
                }
                _ if is_field(name) => {
                    let message =
                        "The resource body includes fields which are not directly writable.";
                    return Err(Refusal::new(403, "fieldNotWritable", message));
                }
                _ => {
                    let message = format!(
                        "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
                    );
                    return Err(Refusal::bad_request(message));
                }
            }
        }
        Ok(metadata)
    }

    /// Writes what was said into an item, all but its place and whether it is trashed.
    pub(super) fn apply(self, state: &State, item: &mut Item) {
        let put = |target: &mut BTreeMap<_, _>, pairs| {
            for (key, value) in pairs {
                match value {
                    Some(value) => drop(target.insert(key, value)),
                    None => drop(target.remove(&key)),
                }
            }
        };
        put(&mut item.properties, self.properties);
        put(&mut item.app_properties, self.app_properties);
        if let Some(name) = self.name {
            item.name = name;
        }
        if let Some(mime) = self.mime {
            item.mime = mime;
        }
        if let Some(created) = self.created {
            item.created = created;
        }
        if let Some(modified) = self.modified.filter(|_| !state.has(Bug::ModifiedTime)) {
            item.modified = modified;
        }
        if let Some(starred) = self.starred {
            item.starred = starred;
        }
        item.description = self.description.or(item.description.take());
        item.target = self.target.or(item.target.take());
    }
}

fn is_field(name: &str) -> bool {
    matches!(FILE, Shape::Object(fields) if fields.iter().any(|(field, _)| *field == name))
}

/// An object of texts; `null` takes one away.
fn pairs(value: &Value) -> Option<BTreeMap<String, Option<String>>> {
    let pairs = value.as_object()?.iter().map(|(key, value)| {
        let text = value.as_str().map(str::to_owned);
        (text.is_some() || value.is_null()).then(|| (key.clone(), text))
    });
    pairs.collect()
}
