//! Files without their content: get, create, update, copy, delete, ids, revisions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::metadata::Metadata;
use super::resource::{self, FILE, FILE_DEFAULT, REVISION};
use super::{Call, Parameters, Reply};
use crate::bugs::Bug;
use crate::fields::Shape;
use crate::refusal::Refusal;
use crate::state::{Caller, FOLDER, Item, Role, SHORTCUT, Scope, State};

/// What every file type of Google's own begins with: files without content of their own.
const NATIVE: &str = "application/vnd.google-apps.";

pub(super) fn get(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let item = state.look_up(&call.caller, call.segment(1), call.query.all_drives()?)?;
    show(state, &call.query, &call.caller, &item.id)
}

/// Answers with a file, as `fields` wants it.
pub(super) fn show(
    state: &State,
    query: &[(String, String)],
    caller: &Caller,
    id: &str,
) -> Result<Reply, Refusal> {
    let fields = query.fields(&FILE, FILE_DEFAULT)?;
    let file = resource::file(state, &state.items[id], &caller.email, &fields);
    Ok(Reply::json(200, Bytes::from(file.to_string())))
}

pub(super) fn generate_ids(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    let count = call.query.number("count", 10, 1..=1000)?;
    let ids: Vec<String> = (0..count).map(|_| state.new_id()).collect();
    state.generated.extend(ids.iter().cloned());
    let body = json!({"kind": "drive#generatedIds", "space": "drive", "ids": ids});
    let shape =
        Shape::Object(&[("ids", &Shape::Any), ("kind", &Shape::Any), ("space", &Shape::Any)]);
    let fields = call.query.fields(&shape, "*")?;
    Ok(Reply::json(200, Bytes::from(fields.project(body).to_string())))
}

pub(super) fn create(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    // What can't be shown is not made.
    call.query.fields(&FILE, FILE_DEFAULT)?;
    let made = make(state, &call.query, &call.caller, &call.metadata()?, None, None)?;
    show(state, &call.query, &call.caller, &made)
}

/// Makes a file of this metadata and content; returns its id. `mime`: what the client says of the
/// content, if the metadata says nothing.
pub(super) fn make(
    state: &mut State,
    query: &[(String, String)],
    caller: &Caller,
    object: &Value,
    content: Option<Bytes>,
    mime: Option<&str>,
) -> Result<String, Refusal> {
    let metadata = Metadata::read(object, true)?;
    let parent = check_new(state, query, caller, &metadata)?;
    let id = metadata.id.clone().unwrap_or_else(|| state.new_id());
    let mime = metadata.mime.as_deref().or(mime).unwrap_or("application/octet-stream").to_owned();
    let native = mime.starts_with(NATIVE);
    if native && content.as_ref().is_some_and(|content| !content.is_empty()) {
        return Err(Refusal::bad_request("Bad Request: this type has no content of its own."));
    }
    // A file without content is an empty file.
    let content = (!native).then(|| content.unwrap_or_default());
    if let Some(content) = &content {
        state.check_storage(&caller.email, &parent, content.len() as u64, 0)?;
    }
    let now = state.clock.tick();
    let mut item = Item::new(id.clone(), "Untitled", &mime, now);
    item.parent = Some(parent);
    item.owner = Some(caller.email.clone());
    item.modified_by = Some(caller.email.clone());
    item.by_app = caller.scope == Scope::File;
    metadata.apply(state, &mut item);
    if let Some(content) = content {
        item.write(content, now);
    }
    if state.has(Bug::Twice) {
        state.insert(Item { id: state.new_id(), ..item.clone() });
    }
    state.insert(item);
    Ok(id)
}

/// Fails if a file of this metadata can't be made; returns the folder it would lie in.
pub(super) fn check_new(
    state: &State,
    query: &[(String, String)],
    caller: &Caller,
    metadata: &Metadata,
) -> Result<String, Refusal> {
    if let Some(id) = &metadata.id {
        if state.is_used(id) {
            let message = "A file already exists with the provided ID.";
            return Err(Refusal::new(409, "fileIdInUse", message));
        }
        if !state.generated.contains(id) {
            return Err(Refusal::invalid("file.id", "The provided file ID is not usable."));
        }
    }
    if metadata.mime.as_deref() == Some(SHORTCUT) {
        let target = metadata.target.as_deref().unwrap_or_default();
        state.look_up(caller, target, query.all_drives()?)?;
    }
    let parent = match metadata.parents.as_deref() {
        None | Some([]) => "root",
        Some([parent]) => parent,
        Some(_) => {
            let message = "A file can't be in several folders.";
            return Err(Refusal::new(400, "invalidParentCount", message));
        }
    };
    let parent = state.look_up(caller, parent, query.all_drives()?)?;
    check_parent(state, caller, parent)?;
    Ok(parent.id.clone())
}

fn check_parent(state: &State, caller: &Caller, parent: &Item) -> Result<(), Refusal> {
    if !parent.is_folder() {
        let message = "The specified parent is not a folder.";
        return Err(Refusal::new(403, "parentNotAFolder", message));
    }
    state.require(caller, &parent.id, Role::Writer)
}

pub(super) fn update(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    call.query.fields(&FILE, FILE_DEFAULT)?;
    let id = call.segment(1);
    let id = alter(state, &call.query, &call.caller, id, &call.metadata()?, None)?;
    show(state, &call.query, &call.caller, &id)
}

/// Changes a file's metadata, place and content; returns its id.
pub(super) fn alter(
    state: &mut State,
    query: &[(String, String)],
    caller: &Caller,
    id: &str,
    object: &Value,
    content: Option<Bytes>,
) -> Result<String, Refusal> {
    let metadata = Metadata::read(object, false)?;
    let item = state.look_up(caller, id, query.all_drives()?)?;
    state.require(caller, &item.id, Role::Writer)?;
    let id = item.id.clone();
    if item.parent.is_none() && metadata.name.is_some() {
        return Err(Refusal::permission(&id));
    }
    if let Some(trashed) = metadata.trashed
        && trashed != item.trashed
        && !resource::may_trash(state, item, &caller.email)
    {
        return Err(Refusal::permission(&id));
    }
    if let Some(content) = &content {
        if item.mime.starts_with(NATIVE) {
            return Err(Refusal::bad_request("Bad Request: this type has no content of its own."));
        }
        let place = item.parent.as_deref().unwrap_or(&id);
        state.check_storage(&caller.email, place, content.len() as u64, item.size())?;
    }
    let place = destination(state, query, caller, item)?;

    let now = state.clock.tick();
    let (trashed, modified) = (metadata.trashed, metadata.modified);
    // Moved first: then the feed tells of one change that holds all.
    if let Some(place) = place {
        state.relocate(&id, &place);
    }
    let mut item = state.items[&id].clone();
    metadata.apply(state, &mut item);
    if let Some(content) = content {
        item.write(content, now);
        if modified.is_none() || state.has(Bug::ModifiedTime) {
            item.modified = now;
        }
    }
    if let Some(trashed) = trashed {
        item.trashed = trashed;
        item.trashed_at = trashed.then_some(now);
    }
    item.modified_by = Some(caller.email.clone());
    state.change(&id, |old| *old = item);
    Ok(id)
}

/// The folder that `addParents` and `removeParents` move an item into, if they do.
fn destination(
    state: &State,
    query: &[(String, String)],
    caller: &Caller,
    item: &Item,
) -> Result<Option<String>, Refusal> {
    let ids = |name| -> Vec<&str> {
        query.text(name).unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect()
    };
    let all_drives = query.all_drives()?;
    let mut added = Vec::new();
    for id in ids("addParents") {
        let parent = state.look_up(caller, id, all_drives)?;
        check_parent(state, caller, parent)?;
        if state.is_in(&parent.id, &item.id) || state.lineage(&parent.id).any(|up| up.id == item.id)
        {
            let message = "A folder can't be moved into itself or what lies in it.";
            return Err(Refusal::new(403, "cyclicFolder", message));
        }
        if item.parent.as_ref() != Some(&parent.id) {
            added.push(parent.id.clone());
        }
    }
    let mut stays = true;
    for id in ids("removeParents") {
        let parent = state.look_up(caller, id, all_drives)?;
        if item.parent.as_ref() != Some(&parent.id) {
            let message = "The specified parent is not a parent of this file.";
            return Err(Refusal::new(404, "notFound", message));
        }
        stays = false;
    }
    match (added.len(), stays) {
        (0, true) => Ok(None),
        (1, false) => Ok(added.pop()),
        (0, false) => {
            let message = "A file must have a parent.";
            Err(Refusal::new(403, "cannotRemoveParent", message))
        }
        _ => {
            let message = "Increasing the number of parents is not allowed";
            Err(Refusal::new(403, "cannotAddParent", message))
        }
    }
}

pub(super) fn copy(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    call.query.fields(&FILE, FILE_DEFAULT)?;
    let mut metadata = Metadata::read(&call.metadata()?, true)?;
    let all_drives = call.query.all_drives()?;
    let source = state.look_up(&call.caller, call.segment(1), all_drives)?.clone();
    if source.mime == FOLDER {
        return Err(Refusal::new(403, "cannotCopyFile", "This file cannot be copied by the user."));
    }
    // Without a place of its own, a copy lies beside what it is of.
    metadata.parents = metadata.parents.or(source.parent.clone().map(|parent| vec![parent]));
    let parent = check_new(state, &call.query, &call.caller, &metadata)?;
    state.check_storage(&call.caller.email, &parent, source.size(), 0)?;
    let id = metadata.id.clone().unwrap_or_else(|| state.new_id());
    let now = state.clock.tick();
    let name = format!("Copy of {}", source.name);
    let mut item = Item::new(id.clone(), &name, &source.mime, now);
    item.parent = Some(parent);
    item.owner = Some(call.caller.email.clone());
    item.modified_by = Some(call.caller.email.clone());
    item.by_app = call.caller.scope == Scope::File;
    item.description = source.description;
    item.properties = source.properties;
    item.app_properties = source.app_properties;
    item.target = source.target;
    metadata.apply(state, &mut item);
    if let Some(revision) = source.revisions.last() {
        item.write(revision.content.bytes.clone(), now);
    }
    state.insert(item);
    show(state, &call.query, &call.caller, &id)
}

pub(super) fn delete(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    let email = &call.caller.email;
    if call.segment(1) == "trash" {
        let drive = call.query.text("driveId");
        let trashed = state.items.values().filter(|item| {
            item.trashed
                && item.drive.as_deref() == drive
                && resource::may_delete(state, item, email)
        });
        for id in trashed.map(|item| item.id.clone()).collect::<Vec<_>>() {
            if state.items.contains_key(&id) {
                state.remove(&id);
            }
        }
        return Ok(Reply::empty(204));
    }
    let item = state.look_up(&call.caller, call.segment(1), call.query.all_drives()?)?;
    if !resource::may_delete(state, item, email) {
        return Err(Refusal::permission(&item.id));
    }
    let id = item.id.clone();
    state.remove(&id);
    Ok(Reply::empty(204))
}

pub(super) fn revisions(state: &State, call: &Call) -> Result<Reply, Refusal> {
    // Revisions are reached in shared drives too, without `supportsAllDrives`.
    let item = state.look_up(&call.caller, call.segment(1), true)?;
    if item.revisions.is_empty() {
        let message = "The file does not support revisions.";
        return Err(Refusal::new(403, "revisionsNotSupported", message));
    }
    let body = if call.path.len() > 3 {
        let fields = call.query.fields(&REVISION, "kind,id,mimeType,modifiedTime")?;
        let wanted = call.segment(3);
        let revision = item.revisions.iter().find(|revision| revision.id == wanted);
        let missing = || Refusal::new(404, "notFound", format!("Revision not found: {wanted}."));
        resource::revision(state, revision.ok_or_else(missing)?, &fields)
    } else {
        const PAGE: Shape = Shape::Object(&[
            ("kind", &Shape::Any),
            ("nextPageToken", &Shape::Any),
            ("revisions", &REVISION),
        ]);
        let fields = call.query.fields(&PAGE, "kind,revisions(kind,id,mimeType,modifiedTime)")?;
        let inner = fields.of("revisions");
        let all: Value = item
            .revisions
            .iter()
            .map(|revision| resource::revision(state, revision, &inner))
            .collect();
        fields.project(json!({"kind": "drive#revisionList", "revisions": all}))
    };
    Ok(Reply::json(200, Bytes::from(body.to_string())))
}
