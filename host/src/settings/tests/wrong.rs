//! Wrong settings, by theme; each snippet with all that is said about it.

use super::{SITES, parse};

/// Shows what each snippet gets told. `below` is put behind it, so that it is about one thing.
fn told(snippets: &[&str], below: &str) -> String {
    let mut all = String::new();
    for snippet in snippets {
        let text = format!("{}\n{below}", snippet.trim());
        match parse(&text) {
            Err(errors) => {
                assert!(!errors.errors.is_empty());
                // A mark that turns the text around would do so in the snapshot too.
                let snippet = snippet.trim().replace('\u{202e}', "<U+202E>");
                all.push_str(&format!("{snippet}\n----\n{errors}\n\n========\n"));
            }
            Ok(_) => panic!("nobody minds:\n{text}"),
        }
    }
    all
}

#[test]
fn syntax() {
    insta::assert_snapshot!(told(
        &[
            "enabled = ",
            "enabled = yes",
            "[sync]\nactive_site = studio",
            "[sync]\nactive_site = \"studio",
            "[sites.studio]\nroot.work = \"P:\\projects\"",
            "[sync]\nsettle = 1\nsettle = 2",
            "[sync]\nsettle = 1\n[host]\n[sync]\nrescan = 3",
            "[sync\nsettle = 1",
            "retry_count 3",
            "a = 1 b = 2\nc = ]\n[d",
            "root = { work = \"a\"\nx = ",
        ],
        "",
    ));
}

#[test]
fn keys() {
    insta::assert_snapshot!(told(
        &[
            "enable = true",
            "project = 1",
            "retry_count = 3",
            "listen = \"127.0.0.1:1\"",
            "wholly_else = 3",
            "[sync]\nretry_cuont = 3",
            "[sync]\nretryCount = 3",
            "[sync]\nlisten = \"127.0.0.1:1\"",
            "[sync]\nremote = \"gdrive\"",
            "[sync]\nsomething_else = 1",
            "[host]\nport = 1",
            "[plugins]\nfolder = [\"/x\"]",
            "[plugins]\nlisten = \"127.0.0.1:1\"",
            "trust = \"pinned\"",
            "[projects.demo]\nroot.work = \"/x\"",
            "[projects.demo]\nsite.gdrive.root.work = \"/x\"",
            "[projects.demo]\nsites.gdrive.rot.work = \"/x\"",
            "[projects.demo]\nsites.gdrive.slots = 3",
            "[projects.demo]\nlisten = \"127.0.0.1:1\"",
            "[projects.\"../demo\"]",
            "[projects.\"\"]",
            "[projects.\"a b\\n\"]",
            "[sites.\"ftp:1\"]\nprovider = \"sftp\"",
        ],
        SITES,
    ));
}

#[test]
fn values() {
    insta::assert_snapshot!(told(
        &[
            "enabled = 1",
            "host = 1",
            "plugins = \"/opt/providers\"",
            "[plugins]\ntrust = \"pined\"",
            "[plugins]\ntrust = true",
            "[plugins]\nfolders = \"/opt/providers\"",
            "[plugins]\nfolders = [\"providers\", \"{NOWHERE}/providers\", 1]",
            "sync = []",
            "projects = \"demo\"",
            "projects.demo = true",
            "[[projects]]\nname = \"demo\"",
            "[sync]\nretry_count = \"3\"",
            "[sync]\nretry_count = -1",
            "[sync]\nretry_count = 1001",
            "[sync]\nretry_count = 99999999999999999999",
            "[sync]\nretry_count = 2.5",
            "[sync]\npriority = 0",
            "[sync]\npriority = 1001",
            "[sync]\nloop_delay = \"999ms\"",
            "[sync]\nloop_delay = 0",
            "[sync]\nloop_delay = -5",
            "[sync]\nloop_delay = 1.5",
            "[sync]\nloop_delay = \"fast\"",
            "[sync]\nloop_delay = \"10\"",
            "[sync]\nloop_delay = \"10 min\"",
            "[sync]\nrescan = \"31d\"",
            "[sync]\nsettle = \"25h\"",
            "[sync]\nsettle = \"1s1h\"",
            "[sync]\nupload = \"none\"",
            "[sync]\nupload = \"Requested\"",
            "[sync]\ndownload = \"reqested\"",
            "[sync]\ndownload = true",
            "[sync]\nverify = \"ful\"",
            "[sync]\nexclude = \"*.tmp\"",
            "[sync]\nexclude = [\"*.tmp\", 3, \"\", \"cache/*.tmp\", \"*\"]",
            "[sync]\nactive_site = \"\"",
            "[sync]\nactive_site = [\"studio\"]",
            "[host]\nlisten = \"7788\"",
            "[host]\nlisten = \"localhost:7788\"",
            "[host]\nlisten = 7788",
            "[host]\nserves = \"studio\"",
            // All of a file at once, in its order.
            "enabled = 0\n[sync]\nretry_count = -1\nsettle = \"x\"\nfoo = 1\n[host]\nlisten = 1",
        ],
        SITES,
    ));
}

#[test]
fn site_values() {
    insta::assert_snapshot!(told(
        &[
            "[sites.nas]",
            "[sites.nas]\nprovder = \"local_drive\"",
            "[sites.nas]\nprovider = \"\"",
            "[sites.nas]\nprovider = 1",
            "[sites.nas]\nprovider = \"local_drive\"\nslots = 0",
            "[sites.nas]\nprovider = \"local_drive\"\nrequests_per_second = 0",
            "[sites.nas]\nprovider = \"local_drive\"\nrequests_per_second = nan",
            "[sites.nas]\nprovider = \"local_drive\"\nrequests_per_second = \"10\"",
            "[sites.nas]\nprovider = \"local_drive\"\nbandwidth = 0",
            "[sites.nas]\nprovider = \"local_drive\"\nbandwidth = \"20M\"",
            "[sites.nas]\nprovider = \"local_drive\"\nbandwidth = \"20 Mbit/s\"",
            "[sites.nas]\nprovider = \"local_drive\"\nbandwidth = 2.5",
            "[sites.nas]\nprovider = \"local_drive\"\nmounted = \"yes\"",
            "[sites.nas]\nprovider = \"local_drive\"\ntimeout = \"2h\"",
            "[sites.nas]\nprovider = \"local_drive\"\nroot = { linux = \"/mnt\" }",
            "[sites.nas]\nprovider = \"local_drive\"\nroot.work = 5",
            "[sites.nas]\nprovider = \"local_drive\"\nroot.work = \"\"",
            "[sites.nas]\nprovider = \"local_drive\"\nroot.work = [\"/a\", \"/b\"]",
            "[sites.nas]\nprovider = \"local_drive\"\nroot.work = { linx = \"/mnt\" }",
            "[sites.nas]\nprovider = \"local_drive\"\nroot.\"a/b\" = \"/mnt\"",
            "[sites.nas]\nprovider = \"nas\"\nlimit = inf\nother = 99999999999999999999",
            "[sites]\nnas = \"local_drive\"",
        ],
        "",
    ));
}

#[test]
fn site_names() {
    insta::assert_snapshot!(told(
        &[
            "[sync]\nremote_site = \"gdrvie\"\n[projects.demo]\n[projects.other]",
            "[sync]\nactive_site = \"Studio\"",
            "[sync]\nactive_site = \"somewhere\"",
            "[projects.demo]\nremote_site = \"g-drive\"",
            "[projects.demo]\nsites.gdriv.root.work = \"/x\"",
            "[projects.demo]\nalways_accessible_on = [\"gdrive\", \"stduio\"]",
            "[host]\nserves = [\"*\", \"locale\"]",
        ],
        SITES,
    ));
}

#[test]
fn what_becomes_of_files() {
    insta::assert_snapshot!(told(
        &[
            "[sync]\nrepresentations = [\n  \"{folder}/{product}/{version}/{file}\",\n  \
             \"{folder}/{prodcut}/{version}/{file}\",\n]",
            "[projects.demo]\nrepresentations = [\"{folder}/{product}/{version}\"]",
            "[sync]\nrepresentations = \"{folder}/{product}/{version}/{file}\"",
            "[sync]\nconflicts = \"activewins\"",
            "[sync]\nmax_delete_percent = 101",
            "[sync]\nmax_change = \"10%\"",
            "[sync]\nkeep_replaced = \"4000d\"",
            "[sites.nas]\nprovider = \"x\"\nalternative_sites = [\"stduio\"]",
            "[sites.nas]\nprovider = \"x\"\nalternative_sites = \"studio\"",
        ],
        "",
    ));
}

#[test]
fn roots() {
    const PAIR: &str = "[sync]\nremote_site = \"gdrive\"\n[projects.demo]\n";
    let studio = |root: &str| format!("{PAIR}[sites.studio]\nprovider = \"local_drive\"\n{root}");
    let below = "[sites.gdrive]\nprovider = \"gdrive\"\nroot.work = \"/{project}\"";
    let snippets: Vec<String> = [
        "",
        "root.publish = \"/mnt/{project}\"",
        "root.work = \"{STUDO}/{project}\"",
        "root.work = \"{EMPTY}/{project}\"",
        "root.work = \"/mnt/{Project}\"",
        "root.work = \"/mnt/{root[work]}\"",
        "root.work = \"/mnt/{project\"",
        "root.work = \"/mnt/../{project}\"",
        "root.work = \"  \"",
        "root.work = \"/mnt/\\u0007\"",
        "root.work = { windows = \"P:/{project}\" }",
        "root.work = { windows = \"P:/{project}\", macos = \"/Volumes/{project}\" }",
        "root.work = \"/mnt/{project}\"\ncredentials_file = \"{MISSING}/a.json\"",
        "root.work = \"/mnt/{project}\"\ncache = \"/var/{project}\"",
        "root.work = \"/mnt/{project}\"\nkey = { windows = \"C:/key\" }",
    ]
    .iter()
    .map(|root| studio(root))
    .collect();
    insta::assert_snapshot!(told(&snippets.iter().map(String::as_str).collect::<Vec<_>>(), below));
}

#[test]
fn roots_of_sites_that_nobody_configured() {
    insta::assert_snapshot!(told(
        &[
            "[projects.demo]\nactive_site = \"local\"\nremote_site = \"gdrive\"",
            "[projects.demo]\nremote_site = \"gdrive\"\nalways_accessible_on = [\"local\"]",
        ],
        SITES,
    ));
}

#[test]
fn overlaps() {
    insta::assert_snapshot!(told(
        &[
            // No `{project}`.
            r#"
[sync]
remote_site = "gdrive"
[projects.a]
[projects.b]
[projects.c]
[sites.studio]
provider = "local_drive"
root.work = "/mnt/projects"
[sites.gdrive]
provider = "gdrive"
root.work = "/{project}"
"#,
            // One lies in the other, and is written otherwise.
            r#"
[sync]
remote_site = "gdrive"
[projects.a]
sites.studio.root.work = "/mnt/a/"
[projects.b]
sites.studio.root.work = "/mnt//a/./b"
[projects.near]
sites.studio.root.work = "/mnt/ab"
[sites.gdrive]
provider = "gdrive"
root.work = "/{project}"
"#,
            // The backup lies in what it backs up.
            r#"
[projects.a]
remote_site = "backup"
[sites.studio]
provider = "local_drive"
root.work = "/mnt/{project}"
[sites.backup]
provider = "local_drive"
root.work = "/mnt/{project}/backup"
"#,
            r#"
[projects.a]
remote_site = "nas"
sites.nas.root.work = "/mnt/other"
[projects.b]
remote_site = "nas"
sites.studio.root.work = "/mnt/other"
[sites.studio]
provider = "local_drive"
root.work = "/mnt/{project}"
[sites.nas]
provider = "local_drive"
root.work = "/nas/{project}"
"#,
        ],
        "",
    ));
}

#[test]
fn secrets_and_odd_lines_are_fit_to_be_shown() {
    let long = format!("[sync]\nexclude = [{} 7]", "\"*.tmp.bak\", ".repeat(40));
    insta::assert_snapshot!(told(
        &[
            "[sites]\nnas = { password = \"hunter2\", provider = 1 }",
            "[sites]\nnas = { provider = 1, client_secret = \"hunter2\" }",
            "[sites]\nnas = { secret_file = \"/run/secret\", provider = 1 }",
            "[sites.nas]\nprovider = \"nas\"\npassword = \"hunter2 \\q\"",
            "[sync]\nremote_site = \"nas\"\n[projects.a]\n[sites.nas]\nprovider = \"nas\"\npassword = \"hun{ter}2\"\ntoken = \"{NAS_TOKEN}\"",
            "[sync]\nupload = \"\u{202e}lla\"",
            "[sync]\n\tverify\t=\t\"ful\"",
            "[sync]\nupload = \"žádný\" # čeština",
            "[sync]\nupload = \"\\u001b[31m\"",
            "\u{feff}enabled = 1",
            "[sync]\r\nsettle = 1\r\nfoo = 1\r",
            &long,
        ],
        "",
    ));
}

#[test]
fn ever_so_much_nonsense_is_cut_short() {
    let text: String = (0..2_000).map(|number| format!("x{number} = 1\n")).collect();
    let errors = parse(&text).unwrap_err().errors;
    assert_eq!(errors.len(), 501);
    assert_eq!(errors[500].message, "1500 more are not shown");
}

proptest::proptest! {
    /// Any text is refused or read; a caret stands under something.
    #[test]
    fn no_text_panics(
        text in "(\\[(sync|host|sites\\.a|projects\\.b)\\]\n|(enabled|root\\.x|serves|settle|sites\\.a\\.root|é) ?= ?(1|\"[{}~\\\\é]{0,4}\"|\\[\\]|\\{\\})[\n ]|[\\PC\n]){0,12}",
    ) {
        if let Err(errors) = parse(&text) {
            let shown = errors.to_string();
            proptest::prop_assert!(!shown.is_empty());
        }
    }
}
