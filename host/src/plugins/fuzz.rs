//! Plug-in files that are damaged at random, more of them than anybody would write down: an error,
//! or the same manifest; never a crash. How many, and with which seed: `docs/testing.md`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::SystemTime;

use sitesync_tests::bench::Bench;
use sitesync_tests::content::Chance;
use sitesync_tests::specimen::Specimen;

use super::manifest::Manifest;
use super::report::Refusal;

/// One of so many inputs goes through the whole of loading.
const WHOLE: u64 = 400;
/// Files in a plug-in folder at once.
const TOGETHER: u64 = 25;
/// No reason is longer, in bytes: it has to fit a line of a log.
const LONGEST_REASON: usize = 1000;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value:?}")))
}

/// How many inputs, and the seed of all of them.
fn inputs() -> (u64, u64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let (inputs, seed) =
        (number("SITESYNC_INPUTS").unwrap_or(100_000), number("SITESYNC_SEED").unwrap_or(now));
    println!("SITESYNC_INPUTS={inputs} SITESYNC_SEED={seed}");
    (inputs, seed)
}

fn specimen() -> Specimen {
    let library = sitesync_tests::plugin("well_behaved").expect("a plug-in");
    Specimen::of(&std::fs::read(library).expect("a library")).expect("a specimen")
}

fn judge(bytes: &[u8]) -> Result<Manifest, Refusal> {
    let manifest = super::elf::inspect(&object::ReadCache::new(Cursor::new(bytes)))?;
    manifest.gate()?;
    Ok(manifest)
}

fn assert_is_told(refusal: &Refusal, what: &dyn Fn() -> String) {
    for text in [&refusal.reason, &refusal.remedy] {
        let is_line = !text.is_empty() && !text.chars().any(char::is_control);
        assert!(is_line && text.len() <= LONGEST_REASON, "{text:?}\n{}", what());
    }
}

#[test]
fn damaged_headers_and_manifests() {
    let (inputs, seed) = inputs();
    let mut chance = Chance::seeded(seed);
    let mut specimen = specimen();
    let original = judge(specimen.bytes()).expect("a whole one");
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..inputs {
        let damage = specimen.damage(&mut chance);
        let what = || format!("input {n} of SITESYNC_SEED={seed}: {:#?}", damage.what);
        let outcome = match judge(specimen.bytes()) {
            Err(refusal) => {
                assert_is_told(&refusal, &what);
                let stem = refusal.reason.split(|c: char| c.is_ascii_digit() || ":\"".contains(c));
                stem.take(1).collect()
            }
            Ok(manifest) if damage.manifest => {
                let text = specimen.said();
                for said in [
                    format!("name={}\n", manifest.name),
                    format!("version={}\n", manifest.version),
                    format!("api={}\n", manifest.api),
                    format!("panic={}\n", manifest.panic),
                ] {
                    assert!(text.contains(&said), "nothing says {said:?}\n{}", what());
                }
                "another manifest".into()
            }
            Ok(manifest) => {
                assert_eq!(manifest, original, "{}", what());
                "the same manifest".into()
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
        specimen.heal();
    }
    assert_eq!(judge(specimen.bytes()), Ok(original), "it is whole again");
    println!("{outcomes:#?}");
    // Else the damage would not reach what it is meant for.
    assert!(inputs < 10_000 || outcomes.len() > 20, "{outcomes:#?}");
}

/// The real binary, with the trial in a child process. The name of each file is another than the
/// one that its code says, so that even a sound one is refused in the trial: what a damaged one
/// would do to a host that loads it after all is not a question of these inputs.
#[test]
fn damaged_files_through_the_whole_of_loading() {
    let (inputs, seed) = inputs();
    let mut chance = Chance::seeded(seed);
    let mut specimen = specimen();
    let (mut left, mut tried) = (inputs.div_ceil(WHOLE), 0);
    while left > 0 {
        let bench = Bench::new();
        let mut damages = BTreeMap::new();
        for n in 0..left.min(TOGETHER) {
            specimen.rename(&format!("odd_{n:08}"));
            let damage = specimen.damage(&mut chance);
            bench.plug(&format!("odd{n}"), specimen.bytes());
            specimen.heal();
            damages.insert(format!("libodd{n}.so"), damage.what);
            left -= 1;
        }
        let run = bench.run(&["providers", "--json"]);
        let what = || format!("SITESYNC_SEED={seed}: {damages:#?}\n{run:#?}");
        assert_eq!(run.code, 0, "{}", what());
        let told = run.lines();
        for name in damages.keys() {
            let is_it = |path: &str| path.rsplit('/').next() == Some(name);
            let line = told.iter().find(|line| line["path"].as_str().is_some_and(is_it));
            let refused = line.map(|line| line["refused"].clone()).unwrap_or_default();
            let refusal: Refusal = serde_json::from_value(refused)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{}", what()));
            assert_is_told(&refusal, &|| format!("{name}\n{}", what()));
            tried += u64::from(line.is_some_and(|line| line["stage"] == "gated"));
        }
        let sound = told.iter().find(|line| line["name"] == "local_drive");
        assert!(sound.is_some_and(|line| line["stage"] == "loaded"), "{}", what());
    }
    println!("{tried} came as far as the trial");
}
