//! Wrong credentials: each has its own sentence that says what to do, and none shows a secret.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{Bench, OWNER, ROBOT, content, put, shown};
use drive_emulator::Emulator;
use gdrive::GoogleDrive;
use serde_json::{Value, json};
use sitesync_provider::{Error, ErrorKind, Provider};

/// The error of connecting, or of opening the root, with these credentials.
async fn refused(bench: &Bench, credentials: Option<&str>, more: Value) -> Error {
    let mut settings = bench.settings();
    let path = bench.temp.path().join("given.json");
    if let Some(text) = credentials {
        fs::write(&path, text).unwrap();
        settings["credentials_file"] = json!(path);
    }
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let read = || serde_json::from_value(settings.clone()).unwrap();
    match GoogleDrive::connect(read(), bench.host("cache")).await {
        Ok(drive) => drive.open_root(common::ROOT, read()).await.unwrap_err(),
        Err(error) => error,
    }
}

/// Demands kind and words; that nothing of the key is shown.
fn says(bench: &Bench, error: &Error, kind: ErrorKind, words: &[&str]) -> String {
    let said = shown(error);
    assert_eq!(error.kind(), kind, "{said}");
    for word in words {
        assert!(error.message().contains(word), "{word:?} is not in: {said}");
    }
    let key: Value = serde_json::from_str(&bench.robot.credentials_json()).unwrap();
    let pem = key["private_key"].as_str().unwrap();
    for line in pem.lines().filter(|line| line.len() > 20 && !line.starts_with("---")) {
        assert!(!said.contains(line), "{said}");
    }
    error.message().to_owned()
}

#[tokio::test]
async fn each_wrong_credential_has_its_sentence() {
    let mut sentences = BTreeSet::new();
    let mut cases = 0;
    let mut told = |sentence: String| {
        cases += 1;
        sentences.insert(sentence);
        assert_eq!(sentences.len(), cases, "{sentences:?}");
    };
    let invalid = ErrorKind::InvalidSettings;
    let unknown = ErrorKind::Unauthenticated;
    let bench = Bench::new();
    let none = json!({"credentials_file": "/nowhere/key.json"});
    let error = refused(&bench, None, none).await;
    told(says(&bench, &error, invalid, &["credentials_file", "can't be read"]));
    let error = refused(&bench, None, json!({"credentials_file": ""})).await;
    told(says(&bench, &error, invalid, &["credentials_file", "missing"]));
    for (text, words) in [
        ("not json", "not JSON"),
        (r#"{"type": "authorized_user", "refresh_token": "1//x"}"#, "a person"),
        (r#"{"installed": {"client_id": "x"}}"#, "OAuth client"),
        (r#"{"type": "service_account"}"#, "incomplete"),
    ] {
        let error = refused(&bench, Some(text), json!({})).await;
        told(says(&bench, &error, invalid, &["credentials_file", words]));
    }
    let mut key: Value = serde_json::from_str(&bench.robot.credentials_json()).unwrap();
    key["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let error = refused(&bench, Some(&key.to_string()), json!({})).await;
    told(says(&bench, &error, invalid, &["credentials_file", "private key"]));

    // The key of somebody who is not there any more.
    let mut key: Value = serde_json::from_str(&bench.robot.credentials_json()).unwrap();
    key["client_email"] = json!("gone@studio.iam.gserviceaccount.com");
    let error = refused(&bench, Some(&key.to_string()), json!({})).await;
    told(says(&bench, &error, unknown, &["gone@studio", "make one"]));

    let error = refused(&bench, None, json!({"impersonate": OWNER})).await;
    told(says(&bench, &error, unknown, &[OWNER, ROBOT]));

    bench.drive.revoke(ROBOT);
    let error = refused(&bench, None, json!({})).await;
    told(says(&bench, &error, unknown, &[ROBOT, "revoked", "new one"]));

    let bench = Bench::new();
    bench.drive.disable_api();
    let error = refused(&bench, None, json!({})).await;
    told(says(&bench, &error, unknown, &["not enabled", "console"]));

    for (offset, words) in [(7200, "2 h 0 min behind"), (-7200, "2 h 0 min ahead")] {
        let bench = Bench::of(Emulator::builder().clock_offset(offset));
        let error = refused(&bench, None, json!({})).await;
        told(says(&bench, &error, unknown, &["clock", words, "NTP"]));
    }

    // Nobody listens there any more.
    let bench = Bench::new();
    let mut key: Value = serde_json::from_str(&bench.robot.credentials_json()).unwrap();
    key["token_uri"] = json!("http://127.0.0.1:9/token");
    let error = refused(&bench, Some(&key.to_string()), json!({})).await;
    told(says(&bench, &error, ErrorKind::Interrupted, &["127.0.0.1:9", "network"]));
    let error = refused(&bench, None, json!({"endpoint": "http://127.0.0.1:9"})).await;
    told(says(&bench, &error, ErrorKind::Interrupted, &["network"]));
}

#[tokio::test]
async fn tokens_that_can_not_be_had_for_a_while_are_interruptions() {
    use drive_emulator::{Answer, Fault, Kind};
    let bench = Bench::new();
    let none = json!({"error": "invalid_scope", "error_description": "Invalid OAuth scope."});
    for (answer, kind) in [
        (Answer::server_error(503, "<p>Sorry"), ErrorKind::Interrupted),
        (Answer::drop_before(), ErrorKind::Interrupted),
        (Answer::status(400, &none), ErrorKind::Unauthenticated),
    ] {
        bench.drive.fault(Fault::on(Kind::Token).times(1).answer(answer));
        let error = refused(&bench, None, json!({})).await;
        says(&bench, &error, kind, &[ROBOT]);
    }
}

#[tokio::test]
async fn a_user_may_be_impersonated() {
    let bench = Bench::new();
    bench.drive.user(OWNER);
    bench.drive.delegate(ROBOT, OWNER);
    bench.drive.share(&bench.film, OWNER, drive_emulator::Role::FileOrganizer);
    let drive = bench.connect_with("cache", json!({"impersonate": OWNER})).await.unwrap();
    let site = bench.site(json!({"impersonate": OWNER}));
    assert_eq!(drive.open_root(common::ROOT, site).await.unwrap().account, OWNER);
    put(&drive, "file", &content(10)).await.unwrap();
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let bench = Bench::new();
    let drive = bench.instance().await;
    put(&drive, "file", &content(7 << 20)).await.unwrap();
    let key: Value = serde_json::from_str(&bench.robot.credentials_json()).unwrap();
    let settings = bench.site(json!({}));
    let said = format!("{drive:?} {settings:?}");
    assert!(!said.contains("upload_id") && !said.contains("PRIVATE KEY"), "{said}");
    assert!(!said.contains("credentials"), "{said}");
    for line in key["private_key"].as_str().unwrap().lines() {
        assert!(line.len() < 20 || !said.contains(line), "{said}");
    }
}
