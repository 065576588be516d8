//! How files, drives and changes look in answers.

use serde_json::{Map, Value, json};

use crate::bugs::Bug;
use crate::clock;
use crate::fields::{Fields, Shape};
use crate::state::{Item, Revision, Role, SHORTCUT, State};

const ANY: &Shape = &Shape::Any;

/// A file: all the fields of v3, of which the emulator fills those that matter for storage.
pub(crate) const FILE: Shape = Shape::Object(&[
    ("appProperties", ANY),
    ("capabilities", ANY),
    ("contentHints", ANY),
    ("contentRestrictions", ANY),
    ("copyRequiresWriterPermission", ANY),
    ("createdTime", ANY),
    ("description", ANY),
    ("downloadRestrictions", ANY),
    ("driveId", ANY),
    ("explicitlyTrashed", ANY),
    ("exportLinks", ANY),
    ("fileExtension", ANY),
    ("folderColorRgb", ANY),
    ("fullFileExtension", ANY),
    ("hasAugmentedPermissions", ANY),
    ("hasThumbnail", ANY),
    ("headRevisionId", ANY),
    ("iconLink", ANY),
    ("id", ANY),
    ("imageMediaMetadata", ANY),
    ("inheritedPermissionsDisabled", ANY),
    ("isAppAuthorized", ANY),
    ("kind", ANY),
    ("labelInfo", ANY),
    ("lastModifyingUser", ANY),
    ("linkShareMetadata", ANY),
    ("md5Checksum", ANY),
    ("mimeType", ANY),
    ("modifiedByMe", ANY),
    ("modifiedByMeTime", ANY),
    ("modifiedTime", ANY),
    ("name", ANY),
    ("originalFilename", ANY),
    ("ownedByMe", ANY),
    ("owners", ANY),
    ("parents", ANY),
    ("permissionIds", ANY),
    ("permissions", ANY),
    ("properties", ANY),
    ("quotaBytesUsed", ANY),
    ("resourceKey", ANY),
    ("sha1Checksum", ANY),
    ("sha256Checksum", ANY),
    ("shared", ANY),
    ("sharedWithMeTime", ANY),
    ("sharingUser", ANY),
    ("shortcutDetails", ANY),
    ("size", ANY),
    ("spaces", ANY),
    ("starred", ANY),
    ("teamDriveId", ANY),
    ("thumbnailLink", ANY),
    ("thumbnailVersion", ANY),
    ("trashed", ANY),
    ("trashedTime", ANY),
    ("trashingUser", ANY),
    ("version", ANY),
    ("videoMediaMetadata", ANY),
    ("viewedByMe", ANY),
    ("viewedByMeTime", ANY),
    ("viewersCanCopyContent", ANY),
    ("webContentLink", ANY),
    ("webViewLink", ANY),
    ("writersCanShare", ANY),
]);

/// A page of files.
pub(crate) const FILES: Shape = Shape::Object(&[
    ("files", &FILE),
    ("incompleteSearch", ANY),
    ("kind", ANY),
    ("nextPageToken", ANY),
]);

/// A shared drive.
pub(crate) const DRIVE: Shape = Shape::Object(&[
    ("backgroundImageFile", ANY),
    ("backgroundImageLink", ANY),
    ("capabilities", ANY),
    ("colorRgb", ANY),
    ("createdTime", ANY),
    ("hidden", ANY),
    ("id", ANY),
    ("kind", ANY),
    ("name", ANY),
    ("orgUnitId", ANY),
    ("restrictions", ANY),
    ("themeId", ANY),
]);

/// A page of changes.
pub(crate) const CHANGES: Shape = Shape::Object(&[
    (
        "changes",
        &Shape::Object(&[
            ("changeType", ANY),
            ("drive", &DRIVE),
            ("driveId", ANY),
            ("file", &FILE),
            ("fileId", ANY),
            ("kind", ANY),
            ("removed", ANY),
            ("teamDrive", ANY),
            ("teamDriveId", ANY),
            ("time", ANY),
            ("type", ANY),
        ]),
    ),
    ("kind", ANY),
    ("newStartPageToken", ANY),
    ("nextPageToken", ANY),
]);

/// An old content of a file.
pub(crate) const REVISION: Shape = Shape::Object(&[
    ("exportLinks", ANY),
    ("id", ANY),
    ("keepForever", ANY),
    ("kind", ANY),
    ("lastModifyingUser", ANY),
    ("md5Checksum", ANY),
    ("mimeType", ANY),
    ("modifiedTime", ANY),
    ("originalFilename", ANY),
    ("publishAuto", ANY),
    ("published", ANY),
    ("publishedLink", ANY),
    ("publishedOutsideDomain", ANY),
    ("size", ANY),
]);

/// What of a file is told if `fields` does not say.
pub(crate) const FILE_DEFAULT: &str = "kind,id,name,mimeType,driveId,teamDriveId";

/// Returns a file as `email` sees it.
pub(crate) fn file(state: &State, item: &Item, email: &str, fields: &Fields) -> Value {
    let id = item.id.as_str();
    let mut file = Map::new();
    // Some values cost something to make.
    let mut put = |name: &str, value: &dyn Fn() -> Option<Value>| {
        if fields.wants(name)
            && let Some(value) = value()
        {
            file.insert(name.to_owned(), value);
        }
    };
    put("kind", &|| Some("drive#file".into()));
    put("id", &|| Some(id.into()));
    put("name", &|| Some(item.name.clone().into()));
    put("mimeType", &|| Some(item.mime.clone().into()));
    put("description", &|| item.description.clone().map(Value::from));
    put("starred", &|| Some(item.starred.into()));
    put("trashed", &|| Some(state.is_trashed(id).into()));
    put("explicitlyTrashed", &|| Some(item.trashed.into()));
    put("trashedTime", &|| item.trashed_at.map(clock::text).map(Value::from));
    put("parents", &|| {
        // A folder that was shared does not tell whose folder it lies in.
        let parent = item.parent.as_ref().filter(|up| state.role(email, up).is_some())?;
        Some(json!([parent]))
    });
    put("properties", &|| (!item.properties.is_empty()).then(|| json!(item.properties)));
    put("appProperties", &|| (!item.app_properties.is_empty()).then(|| json!(item.app_properties)));
    put("spaces", &|| Some(json!(["drive"])));
    put("version", &|| Some(item.version.to_string().into()));
    put("webViewLink", &|| {
        let place = if item.is_folder() { "drive/folders" } else { "file/d" };
        Some(format!("https://drive.google.com/{place}/{id}").into())
    });
    put("webContentLink", &|| {
        item.content()?;
        Some(format!("https://drive.google.com/uc?id={id}&export=download").into())
    });
    put("createdTime", &|| Some(clock::text(item.created).into()));
    put("modifiedTime", &|| Some(clock::text(item.modified).into()));
    put("sharedWithMeTime", &|| item.shared_at.get(email).map(|ms| clock::text(*ms).into()));
    put("driveId", &|| item.drive.clone().map(Value::from));
    put("teamDriveId", &|| item.drive.clone().map(Value::from));
    put("owners", &|| item.owner.as_ref().map(|owner| json!([user(state, owner, email)])));
    put("ownedByMe", &|| item.owner.as_ref().map(|owner| (owner == email).into()));
    put("lastModifyingUser", &|| item.modified_by.as_ref().map(|by| user(state, by, email)));
    put("shared", &|| Some((state.audience(id).len() > 1).into()));
    put("isAppAuthorized", &|| Some(item.by_app.into()));
    put("capabilities", &|| Some(capabilities(state, item, email)));
    put("shortcutDetails", &|| {
        let target = item.target.as_ref().filter(|_| item.mime == SHORTCUT)?;
        let mime = state.items.get(target).map(|target| target.mime.clone());
        Some(json!({"targetId": target, "targetMimeType": mime}))
    });
    put("quotaBytesUsed", &|| Some(item.size().to_string().into()));
    if let Some(revision) = item.revisions.last() {
        let content = &revision.content;
        put("size", &|| Some(content.bytes.len().to_string().into()));
        put("md5Checksum", &|| Some(md5(state, revision).into()));
        put("sha1Checksum", &|| Some(content.sha1().into()));
        put("sha256Checksum", &|| Some(content.sha256().into()));
        put("headRevisionId", &|| Some(revision.id.clone().into()));
        put("originalFilename", &|| Some(item.revisions[0].name.clone().into()));
        put("fileExtension", &|| Some(extension(&item.name).into()));
        put("fullFileExtension", &|| Some(extension(&item.name).into()));
    }
    fields.project(Value::Object(file))
}

fn md5(state: &State, revision: &Revision) -> String {
    let right = revision.content.md5();
    if state.has(Bug::Md5) { right.chars().rev().collect() } else { right.to_owned() }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Returns someone as `me` sees them.
pub(crate) fn user(state: &State, email: &str, me: &str) -> Value {
    let account = state.accounts.get(email);
    json!({
        "kind": "drive#user",
        "displayName": email.split('@').next(),
        "emailAddress": email,
        "me": email == me,
        "permissionId": account.map(|account| account.permission_id.clone()),
    })
}

fn capabilities(state: &State, item: &Item, email: &str) -> Value {
    let role = state.role(email, &item.id);
    let may = |least: Role| role >= Some(least);
    let folder = item.is_folder();
    json!({
        "canAddChildren": folder && may(Role::Writer),
        "canCopy": !folder,
        "canDelete": may_delete(state, item, email),
        "canDownload": !folder,
        "canEdit": may(Role::Writer),
        "canListChildren": folder,
        "canModifyContent": may(Role::Writer),
        "canReadRevisions": !folder,
        "canRename": may(Role::Writer),
        "canTrash": may_trash(state, item, email),
        "canUntrash": may_trash(state, item, email),
    })
}

/// Whether someone may put an item into the trash: in My Drive only its owner.
pub(crate) fn may_trash(state: &State, item: &Item, email: &str) -> bool {
    let least = if item.drive.is_some() { Role::FileOrganizer } else { Role::Owner };
    item.parent.is_some() && state.role(email, &item.id) >= Some(least)
}

/// Whether someone may delete an item for good.
pub(crate) fn may_delete(state: &State, item: &Item, email: &str) -> bool {
    let least = if item.drive.is_some() { Role::Organizer } else { Role::Owner };
    item.parent.is_some() && state.role(email, &item.id) >= Some(least)
}

/// Returns a shared drive.
pub(crate) fn drive(state: &State, id: &str, fields: &Fields) -> Value {
    let drive = &state.drives[id];
    fields.project(json!({
        "kind": "drive#drive",
        "id": id,
        "name": drive.name,
        "createdTime": clock::text(drive.created),
        "hidden": false,
    }))
}

/// Returns a content that a file has or had.
pub(crate) fn revision(state: &State, revision: &Revision, fields: &Fields) -> Value {
    fields.project(json!({
        "kind": "drive#revision",
        "id": revision.id,
        "mimeType": revision.mime,
        "modifiedTime": clock::text(revision.modified),
        "keepForever": false,
        "md5Checksum": md5(state, revision),
        "originalFilename": revision.name,
        "size": revision.content.bytes.len().to_string(),
    }))
}
