//! The feed of changes.

use bytes::Bytes;
use serde_json::{Value, json};

use super::resource::{self, CHANGES};
use super::{Call, Parameters, Reply};
use crate::clock;
use crate::fields::{Fields, Shape};
use crate::ids;
use crate::refusal::Refusal;
use crate::state::{Change, Feed, State};

const DEFAULT: &str = "kind,nextPageToken,newStartPageToken,\
    changes(kind,type,changeType,time,removed,fileId,file(kind,id,name,mimeType,driveId))";

pub(super) fn start(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let feed = feed(state, call)?;
    let shape = Shape::Object(&[("kind", &Shape::Any), ("startPageToken", &Shape::Any)]);
    let body = json!({
        "kind": "drive#startPageToken", "startPageToken": token(&feed, state.changes.len()),
    });
    let body = call.query.fields(&shape, "*")?.project(body);
    Ok(Reply::json(200, Bytes::from(body.to_string())))
}

pub(super) fn changes(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let feed = feed(state, call)?;
    let fields = call.query.fields(&CHANGES, DEFAULT)?;
    let size = call.query.number("pageSize", 100, 1..=1000)?;
    let removed = call.query.text("includeRemoved") != Some("false");
    let unknown = |status| Refusal { status, ..Refusal::invalid("pageToken", "Invalid Value") };
    let from = call.query.text("pageToken").and_then(|token| number(&feed, token));
    let from = from.filter(|from| *from <= state.changes.len()).ok_or_else(|| unknown(400))?;
    let (oldest, status) = state.oldest_change;
    if from < oldest {
        return Err(unknown(status));
    }
    let (page, next) = state.changes(&feed, from, size);
    let inner = fields.of("changes");
    let page: Value = page
        .into_iter()
        .map(|change| show(state, call, &feed, change, &inner))
        .filter(|change| removed || change["removed"] != true)
        .collect();
    let key = if next < state.changes.len() { "nextPageToken" } else { "newStartPageToken" };
    let body = json!({"kind": "drive#changeList", "changes": page, key: token(&feed, next)});
    Ok(Reply::json(200, Bytes::from(fields.project(body).to_string())))
}

fn show(state: &State, call: &Call, feed: &Feed, change: &Change, fields: &Fields) -> Value {
    let email = &call.caller.email;
    // What someone can't see any more is gone for them.
    let item = state.items.get(&change.item).filter(|item| {
        state.role(email, &item.id).is_some()
            && match feed {
                Feed::User(_) => item.drive.is_none(),
                Feed::Drive(drive) => item.drive.as_ref() == Some(drive),
            }
    });
    let mut shown = json!({
        "kind": "drive#change",
        "type": "file",
        "changeType": "file",
        "time": clock::text(change.time),
        "removed": item.is_none(),
        "fileId": change.item,
    });
    if let Feed::Drive(drive) = feed {
        shown["driveId"] = drive.clone().into();
    }
    if let Some(item) = item {
        shown["file"] = resource::file(state, item, email, &fields.of("file"));
    }
    shown
}

/// Whose changes are asked for.
fn feed(state: &State, call: &Call) -> Result<Feed, Refusal> {
    let email = &call.caller.email;
    let all_drives = call.query.all_drives()?;
    let Some(id) = call.query.text("driveId").or(call.query.text("teamDriveId")) else {
        return Ok(Feed::User(email.clone()));
    };
    if !all_drives {
        let message = "The supportsAllDrives parameter must be set to true if driveId is given.";
        return Err(Refusal::new(403, "teamDrivesNotSupported", message));
    }
    let drive = state.drives.get(id).filter(|drive| drive.members.contains_key(email));
    drive.map(|_| Feed::Drive(id.to_owned())).ok_or_else(|| Refusal::drive_not_found(id))
}

fn owner(feed: &Feed) -> &str {
    let (Feed::User(owner) | Feed::Drive(owner)) = feed;
    owner
}

fn token(feed: &Feed, number: usize) -> String {
    ids::opaque(&format!("{number} {}", owner(feed)))
}

fn number(feed: &Feed, token: &str) -> Option<usize> {
    let clear = ids::clear(token)?;
    let (number, whose) = clear.split_once(' ')?;
    (whose == owner(feed)).then(|| number.parse().ok())?
}
