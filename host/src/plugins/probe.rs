//! Loading on trial, in a child process: what ends the child would have ended the host.
//!
//! No sandbox: the child may do what the host's user may. It only takes the fall.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::report::Refusal;
use super::{elf, load};

/// The hidden first argument with which this binary is called for a probe; the second is the file.
pub const PROBE_ARGUMENT: &str = "__probe";

/// What the child says last, before its answer.
const ANSWER: &str = "sitesync-probe-answer ";
/// What the child may write, in bytes: a constructor that floods must not fill the disk.
const MOST_OUTPUT: u64 = 1 << 20;

/// The verdict on one content, as the cache keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// The child loaded it and lived.
    Fine,
    /// The child died of this signal.
    Crashed(String),
}

/// A verdict, and the host that it holds for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) host: String,
    pub(super) verdict: Verdict,
}

/// What a verdict holds for: another build may see the same plug-in otherwise.
pub(super) fn host_version() -> String {
    let api = sitesync_provider::API_VERSION;
    format!("{} {api} {}", env!("CARGO_PKG_VERSION"), sitesync_provider::abi::manifest::RUSTC)
}

/// Loads a file on trial. An error is a refusal that need not hold the next time.
pub(super) fn run(
    program: &Path,
    file: &Path,
    manifest: &Manifest,
    scratch: File,
    timeout: Duration,
) -> Result<Verdict, Refusal> {
    let Manifest { name, version, .. } = manifest;
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(
            format!("{name} {version} could not be tried out: {}: {error}", program.display()),
            "see that the sitesync program can be started by the service's user",
        )
    };
    let mut output = scratch;
    let stdout = output.try_clone().map_err(|error| failed(&error))?;
    let stderr = output.try_clone().map_err(|error| failed(&error))?;
    let mut child = Command::new(program)
        .arg(PROBE_ARGUMENT)
        .arg(file)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|error| failed(&error))?;
    let Some(status) = wait(&mut child, timeout).map_err(|error| failed(&error))? else {
        return Err(Refusal::new(
            format!("{name} {version} does not come back from loading (after {timeout:?})"),
            format!("install another version of {name}"),
        ));
    };
    let said = text(&mut output);
    if let Some(signal) = status.signal() {
        tracing::debug!(provider = name, output = said, "the probe was ended by a signal");
        return judge_signal(signal, manifest);
    }
    match answer(&said) {
        Some(Answer::Fine) => Ok(Verdict::Fine),
        Some(Answer::Refused(refusal)) => Err(refusal),
        None => Err(ended(status, manifest)),
    }
}

fn judge_signal(signal: i32, manifest: &Manifest) -> Result<Verdict, Refusal> {
    let Manifest { name, version, .. } = manifest;
    let called = SIGNALS
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, called)| format!("signal SIG{called}"));
    if signal == SIGKILL {
        // By an administrator, or for want of memory: says nothing about the plug-in.
        return Err(Refusal::new(
            format!("{name} {version} could not be tried out: the trial was killed ({called})"),
            "look for a want of memory in the system's log",
        ));
    }
    Ok(Verdict::Crashed(called))
}

/// What a plug-in that crashes is refused with.
pub(super) fn crashes(manifest: &Manifest, signal: &str) -> Refusal {
    let Manifest { name, version, .. } = manifest;
    Refusal::new(
        format!("{name} {version} crashes when loaded ({signal})"),
        format!("install another version of {name}, and report this to its author"),
    )
}

fn ended(status: ExitStatus, manifest: &Manifest) -> Refusal {
    let Manifest { name, version, .. } = manifest;
    Refusal::new(
        format!("{name} {version} ends the process when loaded ({status})"),
        format!("install another version of {name}, and report this to its author"),
    )
}

const SIGKILL: i32 = 9;
const SIGNALS: &[(i32, &str)] = &[
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (SIGKILL, "KILL"),
    (11, "SEGV"),
    (15, "TERM"),
    (25, "XFSZ"),
    (31, "SYS"),
];

/// Waits for a child; kills it when its time is over.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > timeout {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn text(output: &mut File) -> String {
    let mut said = Vec::new();
    if output.rewind().is_ok() {
        let _ = output.take(MOST_OUTPUT).read_to_end(&mut said);
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Fine,
    Refused(Refusal),
}

fn answer(said: &str) -> Option<Answer> {
    let (_, last) = said.rsplit_once(ANSWER)?;
    serde_json::from_str(last.lines().next()?).ok()
}

/// The child's side: loads the file, and says what came of it. The command line calls this, and
/// nothing else before it, when its first argument is [`PROBE_ARGUMENT`].
#[must_use]
pub fn probe_main(file: &Path) -> ExitCode {
    limit();
    let loaded = File::open(file)
        .map_err(|error| Refusal::new(error.to_string(), "look again"))
        .and_then(|opened| elf::inspect(&object::ReadCache::new(opened)))
        .and_then(|manifest| load::load(file, &manifest));
    let (answer, code) = match loaded {
        Ok(_) => (Answer::Fine, ExitCode::SUCCESS),
        Err(refusal) => (Answer::Refused(refusal), ExitCode::FAILURE),
    };
    let json = serde_json::to_string(&answer).unwrap_or_default();
    // On a line of its own, whatever the plug-in has written.
    match writeln!(std::io::stdout(), "\n{ANSWER}{json}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// No core dumps of what is expected to crash, and no end of output.
fn limit() {
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let _ = setrlimit(Resource::Core, at_most(0));
    let _ = setrlimit(Resource::Fsize, at_most(MOST_OUTPUT));
}
