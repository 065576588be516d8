//! The account, and the shared drives it is a member of.

use bytes::Bytes;
use serde_json::{Value, json};

use super::resource::{self, DRIVE};
use super::{Call, Parameters, Reply};
use crate::fields::Shape;
use crate::query::{Match, Query, Term};
use crate::refusal::Refusal;
use crate::state::State;

pub(super) fn about(state: &State, call: &Call) -> Result<Reply, Refusal> {
    const ANY: &Shape = &Shape::Any;
    const ABOUT: Shape = Shape::Object(&[
        ("appInstalled", ANY),
        ("canCreateDrives", ANY),
        ("canCreateTeamDrives", ANY),
        ("driveThemes", ANY),
        ("exportFormats", ANY),
        ("folderColorPalette", ANY),
        ("importFormats", ANY),
        ("kind", ANY),
        ("maxImportSizes", ANY),
        ("maxUploadSize", ANY),
        ("storageQuota", ANY),
        ("teamDriveThemes", ANY),
        ("user", ANY),
    ]);
    if call.query.text("fields").is_none() {
        let message = "The 'fields' parameter is required for this method.";
        return Err(Refusal::new(400, "required", message));
    }
    let email = &call.caller.email;
    let account = &state.accounts[email];
    let (used, trashed) = state.usage(email);
    let mut quota = json!({
        "usage": used.to_string(),
        "usageInDrive": used.to_string(),
        "usageInDriveTrash": trashed.to_string(),
    });
    let none = account.key.is_some() && !state.service_storage;
    if let Some(limit) = if none { Some(0) } else { account.limit } {
        quota["limit"] = limit.to_string().into();
    }
    let document = "application/vnd.google-apps.document";
    let body = json!({
        "kind": "drive#about",
        "user": resource::user(state, email, email),
        "storageQuota": quota,
        "importFormats": {"text/plain": [document]},
        "exportFormats": {document: ["text/plain"]},
        "maxUploadSize": "5242880000000",
        "appInstalled": false,
        "canCreateDrives": false,
        "canCreateTeamDrives": false,
    });
    let fields = call.query.fields(&ABOUT, "")?;
    Ok(Reply::json(200, Bytes::from(fields.project(body).to_string())))
}

pub(super) fn drive(state: &State, call: &Call) -> Result<Reply, Refusal> {
    let id = call.segment(1);
    let fields = call.query.fields(&DRIVE, "kind,id,name")?;
    let drive = state.drives.get(id);
    if !drive.is_some_and(|drive| drive.members.contains_key(&call.caller.email)) {
        return Err(Refusal::drive_not_found(id));
    }
    Ok(Reply::json(200, Bytes::from(resource::drive(state, id, &fields).to_string())))
}

pub(super) fn drives(state: &State, call: &Call) -> Result<Reply, Refusal> {
    const DRIVES: Shape =
        Shape::Object(&[("drives", &DRIVE), ("kind", &Shape::Any), ("nextPageToken", &Shape::Any)]);
    let fields = call.query.fields(&DRIVES, "kind,nextPageToken,drives(kind,id,name)")?;
    let size = call.query.number("pageSize", 10, 1..=100)?;
    let query = match call.query.text("q").filter(|q| !q.is_empty()) {
        Some(q) => Some(Query::parse(q, true)?),
        None => None,
    };
    let named = |name: &str, term: &Term| match term {
        Term::Name(Match::Is, value) => name.to_lowercase() == value.to_lowercase(),
        Term::Name(Match::IsNot, value) => name.to_lowercase() != value.to_lowercase(),
        Term::Name(Match::Contains, value) => name.to_lowercase().contains(&value.to_lowercase()),
        _ => false,
    };
    let mut ids = state.drives.iter().filter(|(_, drive)| {
        let term = |term: &Term| named(&drive.name, term);
        drive.members.contains_key(&call.caller.email)
            && query.as_ref().is_none_or(|query| query.holds(&term))
    });
    // Shared drives are few: a token is the id that the page before ended with.
    let token = call.query.text("pageToken").filter(|token| !token.is_empty());
    if let Some(token) = token {
        let last = crate::ids::clear(token);
        let last = last.ok_or_else(|| Refusal::invalid("pageToken", "Invalid Value"))?;
        ids.find(|(id, _)| **id >= last);
    }
    let inner = fields.of("drives");
    let page: Vec<&String> = ids.by_ref().take(size).map(|(id, _)| id).collect();
    let shown: Value = page.iter().map(|id| resource::drive(state, id, &inner)).collect();
    let mut body = json!({"kind": "drive#driveList", "drives": shown});
    if let (Some(last), true) = (page.last(), ids.next().is_some()) {
        body["nextPageToken"] = crate::ids::opaque(last).into();
    }
    Ok(Reply::json(200, Bytes::from(fields.project(body).to_string())))
}
