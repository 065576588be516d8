//! What tests tell the emulator to do happens, request by request. Google's client gives the token.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use drive_emulator::{Answer, Emulator, Fault, Kind, ServiceAccount};

const UNIT: usize = 256 << 10;

struct Bench {
    drive: Emulator,
    account: ServiceAccount,
    film: String,
    token: String,
}

impl Bench {
    fn new() -> Option<Bench> {
        let python = common::program("python", &["-c", "import googleapiclient, requests"])?;
        let drive = Emulator::start();
        let account = drive.service_account("robot@studio.iam.gserviceaccount.com");
        let film = drive.shared_drive("Film", &[&account.email]);
        let folder = tempfile::tempdir().expect("a folder");
        let script = "import sys
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
scopes = ['https://www.googleapis.com/auth/drive']
key = Credentials.from_service_account_file(sys.argv[1], scopes=scopes)
key.refresh(Request())
print(key.token, end='')";
        let mut command = Command::new(python);
        command.env("NO_PROXY", "127.0.0.1").args(["-c", script]);
        let output = command.arg(account.write_to(folder.path())).output().expect("Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).expect("a token");
        drive.forget_requests();
        Some(Bench { drive, account, film, token })
    }

    /// Sends a request; `None` if the connection ends without a whole answer.
    fn send(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Option<(u16, String)> {
        let address = self.drive.url().strip_prefix("http://").expect("an address");
        let path = path.strip_prefix(self.drive.url()).unwrap_or(path);
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {length}\r\n{head}\r\n"
        );
        // The other end may hang up early.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12)?.parse().ok()?;
        Some((status, answer))
    }

    fn status(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Option<u16> {
        self.send(method, path, head, body).map(|(status, _)| status)
    }

    fn get(&self) -> Option<u16> {
        self.status("GET", &format!("/drive/v3/drives/{}", self.film), "", b"")
    }

    fn upload(&self, name: &str) -> Option<(u16, String)> {
        let body = format!(
            "--b\r\nContent-Type: application/json\r\n\r\n{{\"name\":\"{name}\",\"parents\":[\"{}\"]}}\
             \r\n--b\r\nContent-Type: text/plain\r\n\r\ncontent\r\n--b--\r\n",
            self.film
        );
        let path = "/upload/drive/v3/files?uploadType=multipart&supportsAllDrives=true\
            &fields=id,md5Checksum";
        let head = "Content-Type: multipart/related; boundary=b\r\n";
        self.send("POST", path, head, body.as_bytes())
    }

    /// Begins a resumable upload; returns its address.
    fn begin(&self) -> String {
        let body = format!("{{\"name\":\"large\",\"parents\":[\"{}\"]}}", self.film);
        let path = "/upload/drive/v3/files?uploadType=resumable&supportsAllDrives=true";
        let head = "Content-Type: application/json\r\n";
        let (_, answer) = self.send("POST", path, head, body.as_bytes()).expect("an answer");
        let place = answer.lines().find_map(|line| line.strip_prefix("location: "));
        place.expect("an address").to_owned()
    }

    fn put(&self, place: &str, span: &str, body: &[u8]) -> Option<(u16, String)> {
        self.send("PUT", place, &format!("Content-Range: bytes {span}\r\n"), body)
    }
}

#[test]
fn faults_are_answered_as_scripted() {
    let Some(bench) = Bench::new() else { return };
    let refused = Fault::on(Kind::DriveGet).nth(2).times(2).answer(Answer::rate_limited());
    bench.drive.fault(refused);
    let seen: Vec<_> = (0..4).map(|_| bench.get()).collect();
    assert_eq!(seen, [Some(200), Some(403), Some(403), Some(200)]);
    bench.drive.fault(Fault::any().answer(Answer::too_many(Some(7))));
    let path = format!("/drive/v3/drives/{}", bench.film);
    let (status, answer) = bench.send("GET", &path, "", b"").expect("an answer");
    assert!(status == 429 && answer.contains("retry-after: 7"), "{answer}");
    bench.drive.fault(Fault::any().answer(Answer::server_error(503, "later")));
    assert_eq!(bench.get(), Some(503));
    bench.drive.fault(Fault::any().answer(Answer::drop_before()));
    assert_eq!(bench.get(), None);
    assert_eq!(bench.drive.pending_faults(), 0);
    let statuses: Vec<u16> = bench.drive.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [200, 403, 403, 200, 429, 503, 0]);
}

#[test]
fn a_drop_after_commit_leaves_the_file() {
    let Some(bench) = Bench::new() else { return };
    bench.drive.fault(Fault::on(Kind::Multipart).answer(Answer::drop_after_commit()));
    assert!(bench.upload("a").is_none());
    assert_eq!(bench.drive.tree(&bench.film)["a"], b"content");
}

#[test]
fn damaged_content_stays_damaged() {
    let Some(bench) = Bench::new() else { return };
    bench.drive.fault(Fault::on(Kind::Multipart).answer(Answer::wrong_md5()));
    let (status, answer) = bench.upload("a").expect("an answer");
    assert_eq!(status, 200);
    // The md5 of `content`.
    assert!(!answer.contains("9a0364b9e99bb480dd25e1f0284c8555"), "{answer}");
    assert_eq!(bench.drive.tree(&bench.film)["a"], b"bontent");
    assert!(bench.upload("b").expect("an answer").1.contains("9a0364b9e99bb480dd25e1f0284c8555"));
}

#[test]
fn a_broken_chunk_is_kept_in_part() {
    let Some(bench) = Bench::new() else { return };
    let content: Vec<u8> = (0..4 * UNIT).map(|n| (n / 7) as u8).collect();
    let place = bench.begin();
    let total = content.len();
    let at = 2 * UNIT as u64 + 5;
    bench.drive.fault(Fault::on(Kind::Chunk).answer(Answer::drop_after_bytes(at)));
    assert!(bench.put(&place, &format!("0-{}/{total}", total - 1), &content).is_none());
    let (status, answer) = bench.put(&place, &format!("*/{total}"), b"").expect("an answer");
    assert!(
        status == 308 && answer.contains(&format!("range: bytes=0-{}", 2 * UNIT - 1)),
        "{answer}"
    );
    let broken = bench.drive.requests().into_iter().find(|seen| seen.kind == Kind::Chunk);
    assert!(broken.is_some_and(|seen| seen.received >= at && seen.status == 0));
    let rest = format!("{}-{}/{total}", 2 * UNIT, total - 1);
    let (status, _) = bench.put(&place, &rest, &content[2 * UNIT..]).expect("an answer");
    assert_eq!(status, 200);
    assert!(bench.drive.tree(&bench.film)["large"] == content);
    assert_eq!(bench.drive.open_sessions(), 0);
}

#[test]
fn sessions_tokens_and_keys_end_when_told() {
    let Some(bench) = Bench::new() else { return };
    let place = bench.begin();
    assert_eq!(bench.drive.open_sessions(), 1);
    bench.drive.expire_sessions();
    assert_eq!(bench.put(&place, "*/5", b"").map(|it| it.0), Some(404));
    bench.drive.disable_api();
    let (status, answer) = bench.upload("a").expect("an answer");
    assert!(status == 403 && answer.contains("accessNotConfigured"), "{answer}");
    let Some(bench) = Bench::new() else { return };
    bench.drive.expire_tokens();
    assert_eq!(bench.get(), Some(401));
    let Some(bench) = Bench::new() else { return };
    bench.drive.revoke(&bench.account.email);
    assert_eq!(bench.get(), Some(401));
}

#[test]
fn too_many_requests_are_refused_and_counted() {
    let Some(bench) = Bench::new() else { return };
    // The bucket fills so slowly that only the burst counts.
    bench.drive.set_rate(Some((0.001, 2)));
    assert_eq!([bench.get(), bench.get(), bench.get()], [Some(200), Some(200), Some(403)]);
    assert_eq!(bench.drive.rate_refusals(), 1);
    bench.drive.set_rate(None);
    assert_eq!(bench.get(), Some(200));
}
