//! `files.list`: search.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::resource::{self, FILES};
use super::{Call, Parameters, Reply};
use crate::bugs::Bug;
use crate::ids;
use crate::query::{Match, Query, Term};
use crate::refusal::Refusal;
use crate::state::{Caller, Item, Page, Role, State};

const DEFAULT: &str =
    "kind,nextPageToken,incompleteSearch,files(kind,id,name,mimeType,driveId,teamDriveId)";

pub(super) fn list(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    let fields = call.query.fields(&FILES, DEFAULT)?;
    let size = call.query.number("pageSize", 100, 1..=1000)?;
    // A token goes on with its own question only.
    let mut question: Vec<String> = ["q", "corpora", "driveId", "orderBy"]
        .iter()
        .map(|name| call.query.text(name).unwrap_or_default().to_owned())
        .collect();
    question.push(call.caller.email.clone());
    let question = question.join("\n");
    let token = call.query.text("pageToken").filter(|token| !token.is_empty());
    let (page, more) = match token {
        None => {
            let ids: Arc<[String]> = search(state, call)?.into();
            (Page { question, ids, at: 0 }, true)
        }
        Some(token) => {
            let page = state.pages.get(token).filter(|page| page.question == question);
            let page = page.ok_or_else(|| Refusal::invalid("pageToken", "Invalid Value"))?.clone();
            if state.has(Bug::PageToken) { (Page { at: 0, ..page }, false) } else { (page, true) }
        }
    };
    let end = (page.at + size).min(page.ids.len());
    let inner = fields.of("files");
    let files: Value = page.ids[page.at..end]
        .iter()
        .filter_map(|id| state.items.get(id))
        .map(|item| resource::file(state, item, &call.caller.email, &inner))
        .collect();
    let mut body = json!({"kind": "drive#fileList", "incompleteSearch": false, "files": files});
    if more && end < page.ids.len() {
        let next = format!("~!!~{}", ids::random(80));
        state.pages.insert(next.clone(), Page { at: end, ..page });
        body["nextPageToken"] = next.into();
    }
    Ok(Reply::json(200, Bytes::from(fields.project(body).to_string())))
}

/// Returns the ids of what is looked for, in order.
fn search(state: &State, call: &Call) -> Result<Vec<String>, Refusal> {
    let query = match call.query.text("q").filter(|q| !q.trim().is_empty()) {
        Some(q) => Some(Query::parse(q, !state.has(Bug::Escape))?),
        None => None,
    };
    let corpus = Corpus::read(state, call)?;
    let order = order(call.query.text("orderBy").unwrap_or_default())?;
    let matches = |item: &&Item| {
        let holds = |term: &Term| holds(state, &call.caller, item, term);
        corpus.has(state, &call.caller, item)
            && query.as_ref().is_none_or(|query| query.holds(&holds))
    };
    let parents = query.as_ref().and_then(Query::parents);
    let mut found: Vec<&Item> = match parents {
        Some(parents) => {
            let mut folders: Vec<String> =
                parents.iter().map(|id| real(state, &call.caller, id)).collect();
            folders.sort();
            folders.dedup();
            for folder in &folders {
                // Google looks whether the folder is there.
                state.look_up(&call.caller, folder, true)?;
            }
            let within = folders.iter().flat_map(|folder| state.children(folder));
            within.filter(matches).collect()
        }
        None => state.items.values().filter(matches).collect(),
    };
    found.sort_by(|a, b| {
        let keys = order.iter().map(|(key, down)| {
            let compared = compare(key, a, b);
            if *down { compared.reverse() } else { compared }
        });
        // Else the newest comes first.
        keys.fold(Ordering::Equal, Ordering::then).then(b.number.cmp(&a.number))
    });
    Ok(found.into_iter().map(|item| item.id.clone()).collect())
}

/// The id that `root` stands for; others stand for themselves.
fn real(state: &State, caller: &Caller, id: &str) -> String {
    let account = state.accounts.get(&caller.email).filter(|_| id == "root");
    account.map_or(id, |account| &account.root).to_owned()
}

/// Where to look.
#[derive(Debug)]
enum Corpus {
    /// What the user has or was given; with shared drives or without.
    User {
        all_drives: bool,
    },
    Drive(String),
}

impl Corpus {
    fn read(state: &State, call: &Call) -> Result<Corpus, Refusal> {
        let query = &call.query;
        let included =
            query.flag("includeItemsFromAllDrives")? || query.flag("includeTeamDriveItems")?;
        if included && !query.all_drives()? {
            let message = "The supportsAllDrives parameter must be set to true if \
                includeItemsFromAllDrives is true.";
            return Err(Refusal::new(403, "teamDrivesNotSupported", message));
        }
        let drive = query.text("driveId").or(query.text("teamDriveId"));
        let corpora = query.text("corpora").filter(|corpora| !corpora.is_empty());
        match (corpora.unwrap_or("user"), drive) {
            ("drive" | "teamDrive", Some(drive)) if included => {
                let known = state.drives.get(drive);
                if known.is_some_and(|known| known.members.contains_key(&call.caller.email)) {
                    Ok(Corpus::Drive(drive.to_owned()))
                } else {
                    Err(Refusal::drive_not_found(drive))
                }
            }
            ("user" | "domain" | "allDrives", Some(_)) | ("drive" | "teamDrive", None) => {
                let message = "The driveId parameter must be specified if and only if corpora is \
                    set to drive.";
                Err(Refusal::new(400, "teamDriveIdRequired", message))
            }
            ("drive" | "teamDrive" | "allDrives", _) if !included => {
                let message = "The includeItemsFromAllDrives parameter must be set to true if \
                    driveId is specified or if corpora contain drive or allDrives.";
                Err(Refusal::new(403, "teamDrivesNotSupported", message))
            }
            ("user" | "domain" | "allDrives", None) => Ok(Corpus::User { all_drives: included }),
            _ => Err(Refusal::invalid("corpora", "Invalid Value")),
        }
    }

    fn has(&self, state: &State, caller: &Caller, item: &Item) -> bool {
        let place = match self {
            Corpus::User { all_drives } => item.drive.is_none() || *all_drives,
            Corpus::Drive(drive) => item.drive.as_ref() == Some(drive),
        };
        // Topmost folders are never found.
        place
            && item.parent.is_some()
            && state.in_scope(caller, item)
            && state.role(&caller.email, &item.id).is_some()
    }
}

/// Whether an item fulfils a term.
fn holds(state: &State, caller: &Caller, item: &Item, term: &Term) -> bool {
    let property = |pairs: &std::collections::BTreeMap<String, String>, key, value| {
        pairs.get::<String>(key).is_some_and(|had| had == value)
    };
    match term {
        // Drive takes `a` and `A` for the same when it looks for names.
        Term::Name(Match::Contains, value) => begins_a_word(&item.name, value),
        Term::Name(how, value) => {
            (item.name.to_lowercase() == value.to_lowercase()) == (*how == Match::Is)
        }
        Term::MimeType(Match::Contains, value) => item.mime.starts_with(value.as_str()),
        Term::MimeType(how, value) => (item.mime == *value) == (*how == Match::Is),
        Term::FullText(value) => begins_a_word(&item.name, value),
        Term::Modified(order, instant) => order.holds(item.modified, *instant),
        Term::Created(order, instant) => order.holds(item.created, *instant),
        Term::Trashed(wanted) => {
            let ignored = state.has(Bug::TrashListed) && !wanted;
            ignored || state.is_trashed(&item.id) == *wanted
        }
        Term::Starred(wanted) => item.starred == *wanted,
        Term::SharedWithMe(wanted) => {
            let shared = item.drive.is_none()
                && item.owner.as_ref() != Some(&caller.email)
                && item.shared_with.contains_key(&caller.email);
            shared == *wanted
        }
        Term::Parent(id) => state.is_in(&item.id, &real(state, caller, id)),
        Term::Owner(email) => item.owner.as_ref() == Some(email),
        Term::Writer(email) => state.role(email, &item.id) >= Some(Role::Writer),
        Term::Reader(email) => state.role(email, &item.id).is_some(),
        Term::Property(key, value) => property(&item.properties, key, value),
        Term::AppProperty(key, value) => property(&item.app_properties, key, value),
        Term::Target(id) => item.target.as_ref() == Some(id),
    }
}

/// `contains` finds words by how they begin: `Hello` in `HelloWorld`, but not `World`.
fn begins_a_word(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.to_lowercase(), wanted.to_lowercase());
    name.match_indices(&wanted)
        .any(|(at, _)| !name[..at].chars().next_back().is_some_and(char::is_alphanumeric))
}

/// Reads `folder,modifiedTime desc`.
fn order(text: &str) -> Result<Vec<(&str, bool)>, Refusal> {
    const KEYS: [&str; 11] = [
        "createdTime",
        "folder",
        "modifiedByMeTime",
        "modifiedTime",
        "name",
        "name_natural",
        "quotaBytesUsed",
        "recency",
        "sharedWithMeTime",
        "starred",
        "viewedByMeTime",
    ];
    let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(|key| {
        let (name, down) = key.strip_suffix(" desc").map_or((key, false), |name| (name, true));
        if KEYS.contains(&name) {
            Ok((name, down))
        } else {
            Err(Refusal::invalid("orderBy", "Invalid Value"))
        }
    });
    keys.collect()
}

fn compare(key: &str, a: &Item, b: &Item) -> Ordering {
    match key {
        "createdTime" => a.created.cmp(&b.created),
        "folder" => b.is_folder().cmp(&a.is_folder()),
        "name" | "name_natural" => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        "quotaBytesUsed" => a.size().cmp(&b.size()),
        "starred" => b.starred.cmp(&a.starred),
        _ => a.modified.cmp(&b.modified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_looks_at_how_words_begin() {
        assert!(begins_a_word("HelloWorld", "hello"));
        assert!(begins_a_word("my hello", "Hello"));
        assert!(begins_a_word("my-hello.txt", "hello."));
        assert!(!begins_a_word("HelloWorld", "world"));
    }
}
