//! Connecting, opening roots, and what a provider says of itself.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Case, case};
use crate::conformance::content::random;
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, fail, not_applicable, refused};
use crate::{ErrorKind, Kind, RootInfo};

pub(super) const CASES: &[Case] = &[
    case!(
        "connect",
        it_says_what_it_is,
        "Settings name a provider by its id, and people by its label."
    ),
    case!(
        "connect",
        every_setting_is_explained,
        "Forms and the reference of settings are made from these sentences; there is no other place."
    ),
    case!(
        "connect",
        settings_of_a_wrong_type_are_refused,
        "A slip in the settings is shown as one (`InvalidSettings`), and not as a broken site."
    ),
    case!(
        "connect",
        two_instances_see_the_same_files,
        "Sites with other settings get an instance of their own, and hosts come and go: what is \
         stored must not live in one instance."
    ),
    case!(
        "connect",
        a_root_opened_again_is_the_same,
        "Opening a root is the health check: another answer means another disk."
    ),
    case!(
        "connect",
        a_root_is_described_soundly,
        "Slots and health belong to the storage that a root names, and room is shown to people."
    ),
    case!(
        "connect",
        roots_of_one_storage_name_it_alike,
        "Two roots on one disk share its slots: each with slots of its own would overload it."
    ),
    case!(
        "connect",
        a_missing_root_is_unavailable,
        "A disk that is not mounted must not look like an empty one, nor be made silently."
    ),
    case!(
        "connect",
        a_file_is_no_root,
        "A root that is a file is a mistake in the settings, to be shown before anything is tried."
    ),
    case!(
        "connect",
        the_root_itself_is_a_folder,
        "The host looks at the root by the empty path before it believes that something is absent."
    ),
    case!(
        "connect",
        requests_are_asked_for,
        "The host owns the rate of requests: a provider that does not ask is throttled by the \
         service, and takes others with it."
    ),
];

async fn it_says_what_it_is(t: Ground) -> Outcome {
    let about = &t.site.description;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    demand!(!about.id.is_empty() && about.id.chars().all(plain), "the id is {:?}", about.id);
    demand!(!about.label.trim().is_empty(), "the label is {:?}", about.label);
    demand!(about.slots > 0, "it wants no slots");
    Ok(())
}

/// The fields of the settings, by their names.
fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

async fn every_setting_is_explained(t: Ground) -> Outcome {
    let schema = &t.site.description.settings;
    demand!(schema.is_object(), "the schema of the settings is {schema}");
    for (name, field) in fields(schema) {
        let text = field.get("description").and_then(Value::as_str).unwrap_or_default();
        demand!(!text.trim().is_empty(), "the setting {name:?} has no doc comment");
    }
    Ok(())
}

async fn settings_of_a_wrong_type_are_refused(t: Ground) -> Outcome {
    let mut wrong = vec![json!("nonsense")];
    for (name, field) in fields(&t.site.description.settings) {
        let other = match field.get("type").and_then(Value::as_str) {
            Some("string") => json!(1),
            Some("boolean" | "integer" | "number" | "array") => json!("nonsense"),
            _ => continue,
        };
        let mut settings = t.site.settings.clone();
        if let Some(fields) = settings.as_object_mut() {
            fields.insert(name.clone(), other);
            wrong.push(settings);
        }
    }
    for settings in wrong {
        let kinds = [ErrorKind::InvalidSettings];
        refused("connecting", t.connect_with(&settings).await, &kinds)?;
        let root = &t.site.root;
        refused("opening a root", t.open_root_with(root, &settings).await, &kinds)?;
    }
    Ok(())
}

async fn two_instances_see_the_same_files(t: Ground) -> Outcome {
    let other = t.reconnected().await?;
    let (one, two) = (t.content(1000), t.content(2000));
    let by_one = t.put("by one", &one).await?;
    other.put("by the other", &two).await?;
    other.holds("by one", &one).await?;
    t.holds("by the other", &two).await?;
    let seen = other.stat("by one").await?.fingerprint();
    demand!(seen == by_one.fingerprint(), "two instances give one file two fingerprints");
    other.replace("by one", &two, &by_one).await?;
    t.holds("by one", &two).await
}

/// What of a root does not change from call to call.
fn lasting(info: &RootInfo) -> impl PartialEq + std::fmt::Debug {
    (
        info.storage_id.clone(),
        info.root_id.clone(),
        info.can.clone(),
        info.mtime_step_ns,
        info.names.clone(),
    )
}

async fn a_root_opened_again_is_the_same(t: Ground) -> Outcome {
    let again = t.open_root(&t.site.root).await?;
    demand!(lasting(&again) == lasting(t.info()), "it was {:?}, now {again:?}", t.info());
    t.put("file", &t.content(1000)).await?;
    let reconnected = t.reconnected().await?.open_root(&t.site.root).await?;
    demand!(
        lasting(&reconnected) == lasting(t.info()),
        "to a second instance it is another: {:?}, then {reconnected:?}",
        t.info()
    );
    Ok(())
}

async fn a_root_is_described_soundly(t: Ground) -> Outcome {
    let info = t.info();
    demand!(!info.storage_id.is_empty(), "the storage id is empty");
    if let (Some(free), Some(total)) = (info.free, info.total) {
        demand!(free <= total, "{free} of {total} bytes are free");
    }
    demand!(info.names.longest_name != Some(0), "names may have no bytes");
    for algorithm in &info.can.checksums {
        let lower = algorithm.to_lowercase() == *algorithm;
        demand!(lower, "the algorithm {algorithm:?} is not in lower case");
    }
    Ok(())
}

/// A path beneath the root, as a root.
fn beneath(t: &Ground, name: &str) -> String {
    format!("{}/{}", t.site.root.trim_end_matches('/'), t.path(name))
}

/// Makes a folder and opens it as a root. `NotApplicable` where folders are no roots.
async fn opened_beneath(t: &Ground) -> Outcome<RootInfo> {
    t.create_folder("folder").await?;
    match t.open_root(&beneath(t, "folder")).await {
        Ok(info) => Ok(info),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::RootUnavailable | ErrorKind::InvalidPath | ErrorKind::InvalidSettings
            ) =>
        {
            not_applicable("a folder in the root is no root here")
        }
        Err(error) => fail(error.to_string()),
    }
}

async fn roots_of_one_storage_name_it_alike(t: Ground) -> Outcome {
    let info = opened_beneath(&t).await?;
    let (one, other) = (&t.info().storage_id, &info.storage_id);
    demand!(one == other, "the root lies on {one:?}, a folder in it on {other:?}");
    demand!(info.root_id.is_empty() || info.root_id != t.info().root_id, "two roots have one id");
    Ok(())
}

async fn a_missing_root_is_unavailable(t: Ground) -> Outcome {
    let missing = beneath(&t, &format!("missing-{:x}", random()));
    for _ in 0..2 {
        let answer = t.open_root(&missing).await;
        refused("opening a missing root", answer, &[ErrorKind::RootUnavailable])?;
    }
    Ok(())
}

async fn a_file_is_no_root(t: Ground) -> Outcome {
    opened_beneath(&t).await?;
    t.put("file", &t.content(10)).await?;
    let answer = t.open_root(&beneath(&t, "file")).await;
    refused("opening a file as a root", answer, &[ErrorKind::RootUnavailable])?;
    Ok(())
}

async fn the_root_itself_is_a_folder(t: Ground) -> Outcome {
    let found = t.stat_path("").await?;
    demand!(found.kind == Kind::Folder, "the root itself is a {:?}", found.kind);
    t.create_folder_path("").await?;
    Ok(())
}

async fn requests_are_asked_for(t: Ground) -> Outcome {
    if t.site.description.requests_per_second == 0 {
        return not_applicable("the provider names no rate of requests");
    }
    let asked = || t.site.permits.load(Ordering::Relaxed);
    t.put("file", &t.content(10)).await?;
    let before = asked();
    t.put("other", &t.content(10)).await?;
    demand!(asked() > before, "a file was written, and no request was asked for");
    let before = asked();
    t.read("other").await?;
    demand!(asked() > before, "a file was read, and no request was asked for");
    Ok(())
}
