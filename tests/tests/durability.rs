//! Nothing is recorded as synced before it is durable: watched system call by system call.
//!
//! A sync runs under strace. Every file's fingerprint at its destination is unlike any other, and
//! stands word for word in the page of the write-ahead log that records it: so for each file the
//! trace shows its last write, its rename, the barriers, and the moment of its record.
//!
//! The counter-proof: with barriers that strace answers in the disk's place (`inject`), so that
//! nothing is synced, the same check must fail.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use sitesync_tests::content;
use sitesync_tests::studio::{CatalogFiles, Setup, Studio, can_trace};

const FILES: u64 = 120;
const CALLS: &str = "trace=openat,write,pwrite64,pwritev,copy_file_range,sendfile,ftruncate,\
                     fallocate,ioctl,utimensat,fchmod,rename,renameat,renameat2,link,linkat,sync,\
                     syncfs,fsync,fdatasync,sync_file_range";

/// A system call: where in the trace it begins and ends.
#[derive(Debug)]
struct Call {
    begins: usize,
    ends: usize,
    name: String,
    arguments: String,
    answer: String,
}

impl Call {
    /// True if the kernel did it, and it succeeded.
    fn was_done(&self) -> bool {
        !self.answer.starts_with(['-', '?']) && !self.answer.contains("INJECTED")
    }

    /// The path of its nth argument, a descriptor as `-y` shows it: `7</a/b>`.
    fn path_of(&self, nth: usize) -> &str {
        let argument = self.arguments.split(", ").nth(nth).unwrap_or_default();
        let path = argument.split_once('<').map_or("", |(_, path)| path);
        path.trim_end_matches(')').trim_end_matches('>')
    }

    /// The text of its nth argument: `"name"`.
    fn text(&self, nth: usize) -> &str {
        let argument = self.arguments.split(", ").nth(nth).unwrap_or_default();
        argument.trim_matches('"')
    }
}

/// Reads what `strace -f -y` wrote: calls that others interrupt stand in two lines.
fn parse(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let line = line.trim_start();
        let (begins, whole) = if let Some(begun) = line.strip_suffix("<unfinished ...>") {
            open.insert(thread, (at, begun.trim_end().to_owned()));
            continue;
        } else if let Some((_, rest)) =
            line.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let Some((begins, begun)) = open.remove(thread) else { continue };
            (begins, begun + rest)
        } else {
            (at, line.to_owned())
        };
        let Some((name, rest)) = whole.split_once('(') else { continue };
        let Some((arguments, answer)) = rest.rsplit_once(" = ") else { continue };
        calls.push(Call {
            begins,
            ends: at,
            name: name.to_owned(),
            arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
            answer: answer.to_owned(),
        });
    }
    calls
}

/// What a traced sync did.
struct Traced {
    studio: Studio,
    calls: Vec<Call>,
    catalog: CatalogFiles,
    log: String,
}

fn traced_sync(studio: Studio, more: &[&str]) -> Result<Traced> {
    let output = studio.path().join("trace");
    let mut strace: Vec<String> =
        ["strace", "-f", "-y", "-s", "9000", "-e", CALLS].map(str::to_owned).to_vec();
    strace.extend(more.iter().map(|option| (*option).to_owned()));
    strace.extend(["-o".to_owned(), output.display().to_string(), "--".to_owned()]);
    let mut command = studio.through(&strace);
    command.env("SITESYNC_LOG", "sitesync::engine=debug").args(["sync", "--json"]);
    let outcome = studio.start(&mut command)?.wait()?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    let calls = parse(&String::from_utf8_lossy(&fs::read(&output)?));
    let catalog = studio.catalog()?;
    Ok(Traced { studio, calls, catalog, log: outcome.stderr })
}

impl Traced {
    /// Checks each file; returns how many barriers there were.
    fn check(&self) -> Result<usize> {
        let remote = self.studio.remote().canonicalize()?.display().to_string();
        let is_barrier =
            |call: &&Call| ["sync", "syncfs"].contains(&&*call.name) && call.was_done();
        let barriers: Vec<&Call> = self
            .calls
            .iter()
            .filter(is_barrier)
            .filter(|call| call.name == "sync" || call.path_of(0).starts_with(&remote))
            .collect();
        let site = self.catalog.remote.context("the remote site")?;
        for (path, row) in &self.catalog.files {
            let have = row.haves.iter().find(|have| have.site == site);
            let version = &have.with_context(|| format!("{path} is not recorded"))?.version;
            let recorded = self
                .calls
                .iter()
                .find(|call| is_log_write(call) && call.arguments.contains(version.as_str()))
                .with_context(|| format!("no write of the log records {path} as {version}"))?;
            let written = self.last_write(&format!("{remote}/{path}"))?;
            let between =
                |barrier: &&&Call| barrier.begins > written && barrier.ends < recorded.begins;
            ensure!(
                barriers.iter().any(|barrier| between(&barrier)),
                "{path}: written until line {written}, recorded at line {}, and no barrier \
                 between them (there are {} in all)",
                recorded.begins,
                barriers.len()
            );
        }
        Ok(barriers.len())
    }

    /// The line of the trace at which the last change to a file and its name had ended.
    fn last_write(&self, file: &str) -> Result<usize> {
        let place = |call: &Call| match call.name.as_str() {
            "renameat2" | "renameat" | "linkat" => Some((
                format!("{}/{}", call.path_of(0), call.text(1)),
                format!("{}/{}", call.path_of(2), call.text(3)),
            )),
            _ => None,
        };
        let (temporary, renamed) = self
            .calls
            .iter()
            .filter(|call| call.was_done())
            .filter_map(|call| Some((place(call)?, call.ends)))
            .filter(|((_, to), _)| to == file)
            .map(|((from, _), ends)| (from, ends))
            .next_back()
            .with_context(|| format!("nothing was renamed to {file}"))?;
        let writes = |call: &&Call| match call.name.as_str() {
            "copy_file_range" => [&temporary[..], file].contains(&call.path_of(2)),
            "write" | "pwrite64" | "pwritev" | "ftruncate" | "fallocate" | "ioctl"
            | "utimensat" | "fchmod" | "sendfile" => {
                [&temporary[..], file].contains(&call.path_of(0))
            }
            _ => false,
        };
        let wrote: Vec<usize> = self.calls.iter().filter(writes).map(|call| call.ends).collect();
        ensure!(!wrote.is_empty(), "no write to {temporary} is in the trace");
        ensure!(wrote.iter().all(|at| *at < renamed), "{file} is written to after its rename");
        Ok(renamed)
    }
}

fn is_log_write(call: &Call) -> bool {
    call.name == "pwrite64" && call.path_of(0).ends_with("catalog.db-wal")
}

/// Small files, a few larger ones, an empty one, one with a hole.
fn tree(studio: &Studio, round: u64) -> Result<()> {
    for n in 0..FILES {
        let size = if n % 20 == 0 { 700_000 } else { 200 + usize::try_from(n * 37 % 9000)? };
        let path = format!("shot{}/f{n}.exr", n % 5);
        studio.write(&studio.studio(), &path, &content::record(round * FILES + n, size))?;
    }
    studio.write(&studio.studio(), "empty", b"")?;
    let sparse = fs::File::create(studio.studio().join("sparse"))?;
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 3 << 20)?;
    Ok(())
}

fn setup() -> Result<Studio> {
    let studio = Setup::default().max_change(0).build()?;
    tree(&studio, 0)?;
    Ok(studio)
}

#[test]
fn a_barrier_comes_before_every_record() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    // Slow barriers, so that a record which does not wait for them is found out.
    let traced = traced_sync(setup()?, &["-e", "inject=syncfs:delay_enter=100000"])?;
    assert_eq!(traced.catalog.files.len() as u64, FILES + 2);
    let barriers = traced.check()?;
    let groups = traced.log.matches("recorded").count();
    assert!(groups > 0, "{}", traced.log);
    assert!(barriers <= groups, "{barriers} barriers for {groups} groups");
    assert!(barriers <= 5, "{barriers} barriers for {FILES} files");
    Ok(())
}

#[test]
fn a_barrier_comes_before_the_record_of_newer_content() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let studio = setup()?;
    ensure!(studio.sync()?.code == Some(0));
    tree(&studio, 1)?;
    let traced = traced_sync(studio, &["-e", "inject=syncfs:delay_enter=100000"])?;
    traced.check()?;
    Ok(())
}

#[test]
fn the_check_notices_barriers_that_do_nothing() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let nothing = "inject=sync,syncfs,fsync,fdatasync:retval=0";
    let traced = traced_sync(setup()?, &["-e", nothing])?;
    let error = traced.check().err().context("the check is content without any barrier")?;
    assert!(error.to_string().contains("no barrier between them (there are 0 in all)"), "{error}");
    Ok(())
}

#[test]
fn what_cannot_be_made_durable_is_not_recorded() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let studio = Setup::default().retry_count(1).build()?;
    tree(&studio, 0)?;
    let strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=syncfs"];
    let mut strace: Vec<String> = strace.map(str::to_owned).to_vec();
    strace.extend(["-e".into(), "inject=syncfs:error=EIO".into(), "--".into()]);
    let outcome = studio.start(studio.through(&strace).args(["sync", "--json"]))?.wait()?;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.sum("transferred"), Some(0), "{outcome:?}");
    let synced = ("remote".to_owned(), "synced".to_owned());
    assert_eq!(studio.catalog_states()?.get(&synced), None);
    // The disk is well again.
    let outcome = studio.sync()?;
    assert_eq!((outcome.code, outcome.sum("conflicts")), (Some(0), Some(0)), "{outcome:?}");
    assert_eq!(studio.catalog_states()?.get(&synced), Some(&(FILES + 2)));
    Ok(())
}
