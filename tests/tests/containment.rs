//! A provider that misbehaves: the file fails, the provider and the site are named, everything else
//! goes on; and once it behaves, all is well.
//!
//! Each case is the real binary with the plug-in `misbehaving`, which keeps files in a folder and
//! does to some of them what its settings say. Beside its project is another one, on good disks.

use std::collections::BTreeMap;
use std::ffi::OsString;

use sitesync_tests::bench::{Bench, Run, Thing};

const FILES: [&str; 6] =
    ["top.exr", "shot/a.exr", "shot/bad.exr", "shot/z.exr", "other/b.exr", "other/deep/c.exr"];
const BAD: &str = "shot/bad.exr";

/// What comes of a fault.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// Nothing: all files arrive.
    Well,
    /// The one file fails with these words, all others arrive.
    File(&'static str),
    /// The site is offline with these words; what could travel has arrived.
    Offline(&'static str),
    /// The folder `shot` is told with these words, and files of it may be left behind.
    Folder(&'static str),
}

/// The misbehaving site is `there`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Files go to it.
    To,
    /// Files come from it.
    From,
    /// Both ends are of its instance: it copies by itself.
    Within,
}

impl Comes {
    fn or_no_progress(self, way: Way) -> Self {
        if way == Way::To { Comes::File("no progress for 1 s") } else { self }
    }
}

fn content(path: &str) -> String {
    format!("the content of {path}\n").repeat(1 + path.len())
}

/// A bench with the fault in `there`, the files at their source, and a project of good disks.
fn bench(way: Way, fault: &[&str], more: &[(&str, &str)]) -> Bench {
    let bench = Bench::with(&[]);
    let library = sitesync_tests::plugin("misbehaving").expect("the fixture builds");
    bench.plug("misbehaving", &std::fs::read(library).expect("the library"));
    for folder in ["near", "far"] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
    }
    settings(&bench, way, fault, more);
    let source = if way == Way::From { "there" } else { "here" };
    for path in FILES {
        bench.write(&format!("{source}/{path}"), content(path));
        bench.write(&format!("near/{path}"), content(path));
    }
    bench
}

fn settings(bench: &Bench, way: Way, fault: &[&str], more: &[(&str, &str)]) {
    let mut lines: Vec<(&str, &str)> = vec![
        ("provider there", "misbehaving"),
        ("sites.there", "timeout = \"1s\""),
        ("sites.near", "provider = \"local_drive\"\nroot.work = \"DIR/near\""),
        ("sites.far", "provider = \"local_drive\"\nroot.work = \"DIR/far\""),
        ("projects.good", "active_site = \"near\"\nremote_site = \"far\""),
    ];
    match way {
        Way::To => {}
        Way::From => lines.push(("projects.demo", "download = \"all\"")),
        Way::Within => {
            lines.push(("sites.here", "provider = \"misbehaving\""));
            lines.push(("sites.here", "capable = true\ntimeout = \"1s\""));
            lines.push(("sites.there", "capable = true"));
        }
    }
    lines.extend(fault.iter().map(|line| ("sites.there", *line)));
    lines.extend(more);
    bench.settings(&lines);
}

fn files(bench: &Bench, site: &str) -> BTreeMap<OsString, Thing> {
    let mut tree = bench.tree(site);
    tree.retain(|_, thing| matches!(thing, Thing::File(..)));
    tree
}

/// What holds after every run, whatever went wrong.
#[track_caller]
fn assert_contained(bench: &Bench, run: &Run, what: &str) {
    assert_ne!(run.code, -1, "{what}: the host died: {run:#?}");
    assert_eq!(bench.tree("near"), bench.tree("far"), "{what}: the other project: {run:#?}");
    assert_eq!(bench.counts_of("good", "far")["synced"], FILES.len() as u64, "{what}");
    // Whatever is visible is whole.
    for site in ["here", "there"] {
        for path in files(bench, site).keys() {
            let path = path.to_string_lossy();
            let found = bench.read(&format!("{site}/{path}"));
            assert_eq!(found.as_deref(), Some(&*content(&path)), "{what}: {site}/{path} {run:#?}");
        }
    }
}

fn arrives(way: Way) -> &'static str {
    if way == Way::From { "here" } else { "there" }
}

#[track_caller]
fn check(way: Way, fault: &[&str], comes: Comes) {
    let bench = bench(way, fault, &[]);
    check_on(&bench, way, fault, comes);
}

#[track_caller]
fn check_on(bench: &Bench, way: Way, fault: &[&str], comes: Comes) {
    let what = format!("{way:?} {}", fault.join(" "));
    let started = std::time::Instant::now();
    let run = bench.sync();
    println!("{what}: {comes:?} in {:?}", started.elapsed());
    assert_contained(bench, &run, &what);
    let destination = arrives(way);
    let arrived = files(bench, destination);
    let all_but_bad = || {
        for path in FILES.iter().filter(|path| **path != BAD) {
            assert!(arrived.contains_key(&OsString::from(path)), "{what}: {path} {run:#?}");
        }
    };
    let synced = bench.counts(destination).get("synced").copied().unwrap_or_default();
    assert!(synced <= arrived.len() as u64, "{what}: {synced} synced of {arrived:?}: {run:#?}");
    let named = |reason: &str, words: &str| {
        let provider = reason.contains("misbehaving");
        assert!(provider && reason.contains(words), "{what}: {reason:?}\n{run:#?}");
        assert!(reason.len() < 3000 && !reason.contains(char::is_control), "{what}: {reason:?}");
    };
    match comes {
        Comes::Well => {
            assert_eq!(run.code, 0, "{what}: {run:#?}");
            assert_eq!(files(bench, "here"), files(bench, "there"), "{what}: {run:#?}");
        }
        Comes::File(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some((state, reason)) = run.told(BAD) else { panic!("{what}: {run:#?}") };
            assert_eq!(state, "failed", "{what}: {run:#?}");
            named(&reason, words);
            all_but_bad();
            assert_eq!(run.sum("failed"), 1, "{what}: {run:#?}");
            let queue = bench.run(&["queue", "--json"]);
            let row = queue
                .lines()
                .into_iter()
                .find(|row| row["path"].as_str().is_some_and(|path| path.ends_with(BAD)));
            named(row.expect("it is in the queue")["reason"].as_str().unwrap_or_default(), words);
        }
        Comes::Folder(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some((_, reason)) = run.told("shot") else { panic!("{what}: {run:#?}") };
            named(&reason, words);
            let outside = FILES.iter().filter(|path| !path.starts_with("shot"));
            for path in outside {
                assert!(arrived.contains_key(&OsString::from(path)), "{what}: {path} {run:#?}");
            }
        }
        Comes::Offline(words) => {
            assert_eq!(run.code, 1, "{what}: {run:#?}");
            let Some(reason) = run.offline() else { panic!("{what}: {run:#?}") };
            named(&reason, words);
            assert!(run.lines().iter().any(|line| line["site"] == "there"), "{what}: {run:#?}");
        }
    }
    // Once it behaves, everything arrives, and nothing is brought twice.
    settings(bench, way, &[], &[]);
    // What had failed is tried at once, and may fail by what was known of it; then it is known anew.
    let mut healed = bench.sync();
    if healed.code != 0 {
        healed = bench.sync();
    }
    assert_eq!(healed.code, 0, "{what}, healed: {healed:#?}");
    assert_eq!(files(bench, "here"), files(bench, "there"), "{what}, healed: {healed:#?}");
    assert_eq!(files(bench, "here").len(), FILES.len(), "{what}, healed: {healed:#?}");
    assert_eq!(bench.sync().ends(0).sum("transferred"), 0, "{what}: it does not come to rest");
}

const ONLY: &str = "only = \"bad\"";

#[test]
fn a_panic_in_any_call_of_a_write() {
    for call in ["open_write", "write", "finish"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call, ONLY];
        check(Way::To, &fault, Comes::File("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_in_any_call_of_a_read() {
    for call in ["stat", "open_read", "read"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call, ONLY];
        check(Way::From, &fault, Comes::File("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_in_a_call_on_a_site() {
    for call in ["connect", "open_root", "list", "next"] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"panic\"", &call];
        check(Way::To, &fault, Comes::Offline("the provider panicked: on purpose"));
    }
}

#[test]
fn a_panic_where_it_costs_nothing() {
    check(Way::To, &["fault = \"panic\"", "call = \"sweep\""], Comes::Well);
    check(Way::To, &["fault = \"panic\"", "call = \"changes\""], Comes::Well);
    for call in ["connect", "list", "open_read"] {
        let call = format!("call = \"{call}\"");
        check(Way::To, &["fault = \"panic_in_drop\"", &call], Comes::Well);
        check(Way::From, &["fault = \"panic_in_drop\"", &call], Comes::Well);
        check(Way::From, &["fault = \"block_in_drop\"", "seconds = 5", &call], Comes::Well);
    }
}

#[test]
fn panics_of_other_kinds() {
    for (fault, words) in [
        ("evil_payload", "the provider panicked"),
        ("evil_error", "the provider panicked"),
        ("panic_in_thread", "a thread died: true"),
        ("deep_error", "deep"),
        ("giant_error", "red"),
    ] {
        let fault = format!("fault = \"{fault}\"");
        check(Way::To, &[&fault, "call = \"write\"", ONLY], Comes::File(words));
        check(Way::From, &[&fault, "call = \"read\"", ONLY], Comes::File(words));
    }
    let fault = ["fault = \"panic_in_drop\"", "call = \"open_write\"", ONLY];
    check(Way::To, &fault, Comes::File("while dropped"));
}

#[test]
fn a_call_that_never_answers() {
    for (way, calls) in
        [(Way::To, ["open_write", "write", "finish"]), (Way::From, ["stat", "open_read", "read"])]
    {
        for call in calls {
            let call = format!("call = \"{call}\"");
            check(
                way,
                &["fault = \"never\"", &call, ONLY],
                Comes::File(" within 1 s").or_no_progress(way),
            );
        }
    }
}

#[test]
fn a_site_that_never_answers() {
    for call in ["connect", "open_root", "list", "next"] {
        let call = format!("call = \"{call}\"");
        check(Way::To, &["fault = \"never\"", &call], Comes::Offline("within 1 s"));
    }
}

#[test]
fn a_call_that_blocks_its_thread_for_a_while() {
    for (way, call) in [(Way::To, "write"), (Way::To, "finish"), (Way::From, "read")] {
        let call = format!("call = \"{call}\"");
        let fault = ["fault = \"block\"", "seconds = 4", &call, ONLY];
        check(way, &fault, Comes::File("1 s"));
    }
}

#[test]
fn a_site_that_blocks_a_thread_for_ever() {
    let fault = ["fault = \"block\"", "call = \"finish\"", ONLY];
    check(Way::To, &fault, Comes::Offline("still works on what it was last asked for"));
    let fault = ["fault = \"block_all\"", "call = \"open_root\""];
    check(Way::To, &fault, Comes::Offline("within 1 s"));
}

#[test]
fn what_goes_on_after_it_was_cancelled() {
    // Longer than the host waits for it, and shorter than it waits for the last of all.
    let writes = ["fault = \"writes_on\"", "seconds = 5", "call = \"write\"", ONLY];
    check(Way::To, &writes, Comes::File("no progress for 1 s"));
    let renames = ["fault = \"late_rename\"", "seconds = 5", "call = \"finish\"", ONLY];
    check(Way::To, &renames, Comes::File("no progress for 1 s"));
}

#[test]
fn sizes_that_lie() {
    check(
        Way::To,
        &["fault = \"size\"", "call = \"finish\"", ONLY],
        Comes::File("differs from what was sent"),
    );
    // What it is opened with counts, and no longer what the listing said.
    check(Way::From, &["fault = \"size\"", "call = \"list\"", ONLY], Comes::Well);
    let ended = Comes::File("the source ended after 364 of 365 bytes");
    check(Way::From, &["fault = \"size\"", ONLY], ended);
    let changed = Comes::File("the source has changed since it was looked at");
    check(Way::From, &["fault = \"size\"", "call = \"stat\"", ONLY], changed);
    check(Way::From, &["fault = \"size\"", "call = \"open_read\"", ONLY], changed);
    check(
        Way::From,
        &["fault = \"huge_size\"", "call = \"list\"", ONLY],
        Comes::Folder("'bad.exr' has a size of 18446744073709551615 bytes"),
    );
    check(
        Way::From,
        &["fault = \"huge_size\"", "call = \"stat\"", ONLY],
        Comes::File("a size of 18446744073709551615 bytes"),
    );
    check(
        Way::From,
        &["fault = \"huge_size\"", "call = \"open_read\"", ONLY],
        Comes::File("a size of 18446744073709551615 bytes"),
    );
    check(
        Way::To,
        &["fault = \"huge_size\"", "call = \"finish\"", ONLY],
        Comes::File("a size of 18446744073709551615 bytes"),
    );
}

#[test]
fn times_and_versions_that_make_no_sense() {
    for fault in ["oldest", "newest"] {
        let fault = format!("fault = \"{fault}\"");
        check(Way::From, &[&fault, ONLY], Comes::Well);
        check(Way::To, &[&fault, ONLY], Comes::Well);
    }
    // What no version was told of can't be asked for by its version.
    check(Way::From, &["fault = \"no_version\"", ONLY], Comes::File("it has changed"));
    check(Way::To, &["fault = \"no_version\"", ONLY], Comes::Well);
    let giant = "fault = \"giant_version\"";
    check(Way::From, &[giant, "call = \"list\"", ONLY], Comes::Folder("an id of 5242880 bytes"));
    check(Way::To, &[giant, "call = \"finish\"", ONLY], Comes::File("an id of 5242880 bytes"));
}

#[test]
fn content_that_is_not_what_was_sent() {
    let other = ["fault = \"other_bytes\"", ONLY];
    let verify = [("projects.demo", "verify = \"full\"")];
    let bench = bench(Way::To, &other, &verify);
    let run = bench.sync().ends(1);
    run.tells(BAD, "failed", "what was read back differs from what was sent");
    run.sums(11, 1, 0);
    assert_eq!(bench.counts("there")["synced"], 5);
    let lost = ["fault = \"lost\"", ONLY];
    settings(&bench, Way::To, &lost, &verify);
    assert!(!bench.sync().ends(1).told(BAD).expect("told").1.is_empty());
    settings(&bench, Way::To, &[], &verify);
    assert_eq!(bench.sync().code, 0);
    assert_eq!(files(&bench, "here"), files(&bench, "there"));
}

#[test]
fn checksums_that_do_not_match() {
    let sums = [("sites.here", "checksums = true"), ("sites.there", "checksums = true")];
    let fault = ["fault = \"checksum\"", "call = \"finish\"", ONLY];
    let bench = bench(Way::Within, &fault, &sums);
    let run = bench.sync().ends(1);
    run.tells(BAD, "failed", "what arrived differs from what was sent");
    run.sums(11, 1, 0);
    assert_eq!(bench.counts("there")["synced"], 5);
}

#[test]
fn names_and_folders_that_make_no_sense() {
    let shot = "only = \"shot\"";
    for (fault, words) in [
        ("bad_names", "'../../etc/passwd' is no name: it has a '/' in a name; 5 more"),
        ("twice", "is named more than once"),
        ("twice_apart", "is named more than once"),
        ("folder_twice", "it is listed twice"),
        ("strange_folder", "it lists '../../etc', which was not asked for"),
        ("empty_pages", "the listing has no end: 1000 pages in a row are empty"),
        ("no_pages", "the listing has no end"),
    ] {
        let fault = format!("fault = \"{fault}\"");
        check(Way::From, &[&fault, shot], Comes::Folder(words));
    }
}

#[test]
fn what_a_reader_gives() {
    check(
        Way::From,
        &["fault = \"more_bytes\"", ONLY],
        Comes::File("where 1048576 were asked for"),
    );
    check(Way::From, &["fault = \"endless_read\"", ONLY], Comes::File("more bytes than the"));
    check(Way::From, &["fault = \"short_read\"", ONLY], Comes::File("the source ended after 0 of"));
    check(
        Way::To,
        &["fault = \"beyond\"", ONLY],
        Comes::File("would go on from byte 18446744073709551615"),
    );
}

#[test]
fn what_a_root_says_of_itself() {
    check(
        Way::To,
        &["fault = \"giant_root\""],
        Comes::Offline("a label or an id of 6291456 bytes"),
    );
    check(Way::To, &["fault = \"coarse_times\""], Comes::Offline("in steps of 18446744073 s"));
    // What it can't do after all is done in another way.
    check(Way::Within, &["fault = \"boast\""], Comes::Well);
}

#[test]
fn copies_within_a_provider() {
    let word = |fault: &str| format!("fault = \"{fault}\"");
    let call = "call = \"server_copy\"";
    for fault in ["panic", "evil_payload"] {
        let comes = Comes::File("the provider panicked");
        check(Way::Within, &[&word(fault), call, ONLY], comes);
        check(Way::Within, &[&word(fault), call, ONLY, "times = 1"], Comes::Well);
    }
    for fault in ["fewer_copies", "more_copies"] {
        check(Way::Within, &[&word(fault), ONLY], Comes::File("the provider answered"));
        check(Way::Within, &[&word(fault), "times = 1"], Comes::Well);
    }
    // One of a batch that never answers costs them all a try; then each goes alone.
    let tries = [("sync", "retry_count = 2")];
    let never = word("never");
    let fault = [&*never, call, ONLY];
    let bench = bench(Way::Within, &fault, &tries);
    check_on(&bench, Way::Within, &fault, Comes::File("no progress for 1 s"));
}

#[test]
fn barriers_that_fail() {
    for kind in ["panic", "error"] {
        let fault = format!("fault = \"{kind}\"");
        let bench = bench(Way::To, &[&fault, "call = \"flush\""], &[]);
        let run = bench.sync();
        assert_contained(&bench, &run, kind);
        for path in FILES {
            run.tells(path, "failed", "could not be made durable: site 'there': misbehaving: ");
        }
        assert_eq!(bench.counts("there").get("synced"), None);
        settings(&bench, Way::To, &[], &[]);
        assert_eq!(bench.sync().code, 0);
        assert_eq!(bench.counts("there")["synced"], FILES.len() as u64);
    }
}

#[test]
fn many_that_hang_take_no_slots_of_others() {
    // All slots of `there` are taken for good; the good disks share one storage with `here`, and
    // must not run out of theirs.
    let fault = ["fault = \"block\"", "call = \"finish\"", "only = \"hangs\""];
    let bench = bench(Way::To, &fault, &[("sites.there", "slots = 2")]);
    for n in 0..40 {
        bench.write(&format!("here/hangs/{n}.exr"), content(&format!("hangs/{n}.exr")));
    }
    let run = bench.sync();
    assert_contained(&bench, &run, "hangs");
    let reason = run.offline().expect("it is offline");
    assert!(reason.contains("'misbehaving' was given up on"), "{reason}");
    settings(&bench, Way::To, &[], &[]);
    assert_eq!(bench.sync().code, 0);
    assert_eq!(files(&bench, "here"), files(&bench, "there"));
}

#[test]
fn a_site_that_keeps_failing_is_left_alone_and_says_until_when() {
    for (fault, kind) in [("error", "StorageFull"), ("centuries", "RateLimited")] {
        let (fault, kind) = (format!("fault = \"{fault}\""), format!("kind = \"{kind}\""));
        let fault = [&*fault, &*kind, "call = \"write\"", "only = \".exr\""];
        let bench = bench(Way::To, &fault, &[]);
        let run = bench.sync().ends(1);
        assert_contained(&bench, &run, &kind);
        let reason = run.offline().expect("it is offline");
        assert!(reason.starts_with("left alone until 20"), "{reason}");
        assert!(run.stderr.contains("site 'there': misbehaving: left alone until 20"), "{run:#?}");
        assert_eq!(bench.counts("there").get("failed"), None, "no file pays for it: {run:#?}");
        settings(&bench, Way::To, &[], &[]);
        assert_eq!(bench.sync().code, 0);
        assert_eq!(files(&bench, "here"), files(&bench, "there"));
    }
}

#[test]
fn people_are_told_who_it_was() {
    let bench = bench(Way::To, &["fault = \"panic\"", "call = \"write\"", ONLY], &[]);
    let run = bench.run(&["sync"]).ends(1);
    let line = "failed: demo: shot/bad.exr to 'there': site 'there': misbehaving: the provider \
                panicked: on purpose";
    assert!(run.stderr.contains(line), "{run:#?}");
    let queue = bench.run(&["queue"]).ends(0);
    assert!(queue.stdout.contains("site 'there': misbehaving"), "{queue:#?}");
}

#[test]
fn a_flood_in_the_log() {
    let bench = bench(Way::To, &["fault = \"flood\"", "call = \"write\"", ONLY], &[]);
    let run = bench.sync().ends(0);
    assert_eq!(files(&bench, "here"), files(&bench, "there"));
    let flood = run.stderr.lines().filter(|line| line.contains("flood")).count();
    assert!(flood <= 20_000, "{flood} lines");
    assert!(run.stderr.contains("logs more than 1000 events a second"));
    assert!(run.stderr.lines().all(|line| line.len() < 20_000));
}
