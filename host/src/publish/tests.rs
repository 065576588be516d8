//! What texts come to, as data, and what holds for any text.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn named(path: &str) -> String {
    Templates::default().naming(path).to_string()
}

#[test]
fn publish_folders_are_understood() {
    for (path, naming) in [
        // OpenPype and AYON.
        (
            "shots/sq01/sh010/publish/render/renderMain/v003/demo_sh010_renderMain_v003.1001.exr",
            "shots/sq01/sh010/renderMain/v003/exr",
        ),
        (
            "shots/sh010/publish/render/renderMain/v003/demo_sh010_renderMain_v003_h264.mp4",
            "shots/sh010/renderMain/v003/h264_mp4",
        ),
        (
            "shots/sh010/publish/render/renderMain/v003/demo_sh010_renderMain_v003_left_h264.1001.JPG",
            "shots/sh010/renderMain/v003/left_h264_jpg",
        ),
        (
            "assets/hero/publish/model/modelMain/hero/demo_hero_modelMain_hero.abc",
            "assets/hero/modelMain/hero/abc",
        ),
        (
            "assets/hero/publish/texture/textureMain/v1/demo_hero_textureMain_v1_1001.tx",
            "assets/hero/textureMain/v1/tx",
        ),
        (
            "assets/hero/publish/texture/textureMain/v1/demo_hero_textureMain_v1_diffuse_1001.tx",
            "assets/hero/textureMain/v1/diffuse_tx",
        ),
        ("a/publish/vdb/smoke/v001/demo_a_smoke_v001.1001.bgeo.sc", "a/smoke/v001/bgeo.sc"),
        ("a/publish/look/lookMain/v002/resources/wood/wood.tx", "a/lookMain/v002/resources"),
        ("a/publish/online/plate/v002/A001_C002.1001.dpx", "a/plate/v002/dpx"),
        ("a/publish/texture/v004/wood_v004.png", "a/texture/v004/png"),
        ("a/publish/staticMesh/rock_v001.fbx", "a/rock/v001/fbx"),
        ("a/publish/notes/notesMain/v001/README", "a/notesMain/v001/README"),
        ("a/publish/x/y/v001/publish/z/w/v002/f.abc", "a/y/v001/publish"),
        // Workfiles.
        ("shots/sh010/work/comp/demo_sh_010_comp_v012.nk", "shots/sh010/demo_sh_010_comp/v012/nk"),
        ("sh010/work/comp/demo_comp_v012_fixed edge.nk", "sh010/demo_comp/v012/fixed edge_nk"),
        // By folder.
        ("shots/sh010/work/comp/renders/a.1001.exr", "shots/sh010/work/comp/renders"),
        ("shots/sh010/plates/v003/exr/a.1001.exr", "shots/sh010/plates/v003/exr/"),
        ("publish/render/renderMain/v003/a.exr", "publish/render/renderMain/v003"),
        ("a/publish/render/renderMain/draft/a.exr", "a/publish/render/renderMain/draft"),
        ("notes.txt", "."),
        ("", "."),
    ] {
        assert_eq!(named(path), naming, "{path}");
    }
}

#[test]
fn templates_of_ones_own() {
    for (template, path, naming) in [
        (
            "{asset}_{product}_v{version}.{ext}",
            "hero_model_main_v003.ma",
            "hero/model_main/v003/ma",
        ),
        ("{asset}_{product}_v{version}.{frame}.{ext}", "a_b_v03.-010.exr", "a/b/v03/exr"),
        ("{folder}/{product}/{version}/{name}/{_}", "s/x/V2/beauty/f.1.exr", "s/x/v2/beauty"),
        ("show/{folder}/{type}/{version}/{file}", "show/a/b/cache/12/x.abc", "a/b/cache/v12/abc"),
        ("{folder}/{product}__v{version}.{ext}", "a/b___v1.x", "a/b_/v1/x"),
        ("{folder}/{product}__{version}.{ext}", "a/b___1.x", "a/b_/v1/x"),
        // The same name twice is the same text.
        ("{folder}/{product}/{product}_v{version}.{ext}", "a/b/b_v1.x", "a/b/v1/x"),
        ("{folder}/{product}/{product}_v{version}.{ext}", "a/b/c_v1.x", "a/b"),
        // An extension has no frame in it.
        ("{folder}/{product}_v{version}.{ext}", "a/b_v1.1001.exr", "a"),
        ("{folder}/{product}_v{version}.{ext}", "a/b_v1.ass.gz", "a/b/v1/ass.gz"),
        // Case counts.
        ("{folder}/publish/{product}/{version}/{file}", "a/Publish/b/v1/x.y", "a/Publish/b/v1"),
    ] {
        let templates = Templates::compile(&[template]).expect(template);
        assert_eq!(templates.naming(path).to_string(), naming, "{template} on {path}");
    }
}

#[test]
fn the_first_template_that_fits_counts() {
    let templates = ["{folder}/out/{type}/{version}/{file}", "{folder}/{type}/{version}/{file}"];
    let templates = Templates::compile(&templates).unwrap();
    assert_eq!(templates.naming("a/out/b/v1/c.d").to_string(), "a/b/v1/d");
    assert_eq!(templates.naming("a/in/b/v1/c.d").to_string(), "a/in/b/v1/d");
}

#[test]
fn wrong_templates_are_told_why() {
    let told: Vec<String> = [
        "",
        "/publish/{folder}/{product}/{version}/{file}",
        "{folder}/../{product}/{version}/{file}",
        "{folder}/{product}/{version}",
        "{folder}/{product}/{file}",
        "{folder}/{version}/{file}",
        "publish/{product}/{version}/{file}",
        "{folder}/{prodcut}/{version}/{file}",
        "{hierarchy}/{asset}/publish/{product}/{version}/{file}",
        "{root[work]}/{folder}/{product}/{version}/{file}",
        "{folder}/{product}{version}/{file}",
        "{folder}/{product}_{product}/{version}/{file}",
        "{folder}/{folder}/{product}/{version}/{file}",
        "{folder}/{product}/{version}/{file}/x",
        "{folder}/{product}/{version}/x_{file}",
        "{folder}/{product/{version}/{file}",
        "{folder}/product}/{version}/{file}",
        "élan/{folder}/{product}_v{version}<_{output}>.{ext}",
        &"x".repeat(2_000),
    ]
    .iter()
    .map(|text| Templates::compile(&["{folder}/{product}/{version}/{file}", text]))
    .map(|result| result.map(drop).map_err(|(index, error)| format!("{index}: {error}")))
    .map(|result| result.expect_err("wrong"))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(Templates::compile(&vec![DEFAULTS[0]; 65]).is_err());
}

#[test]
fn a_long_name_full_of_separators_costs_no_time() {
    let template = "{_}_{_}_{_}_{_}_{_}_{_}_{folder}_{product}_v{version}.{ext}";
    let templates = Templates::compile(&[template]).unwrap();
    assert!(templates.naming(&"_".repeat(2_000)).is_by_folder());
    assert!(templates.naming(&"a_".repeat(1_000)).is_by_folder());
}

#[test]
fn newest_versions_are_those_of_each_product() {
    let mut found: Vec<Naming> = [
        "a/b/v9/exr",
        "a/b/v10/exr",
        "a/b/v010/mp4",
        "a/b/hero/exr",
        "a/c/hero/exr",
        "a/c/master/exr",
        "b/b/v1/exr",
        "some/folder",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    newest_versions(&mut found, |naming| naming);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["a/b/v10/exr", "a/c/master/exr", "b/b/v1/exr"]);
}

/// The sequences among names, a line each.
fn lines(names: &[&str]) -> Vec<String> {
    sequences(names.iter().copied()).iter().map(ToString::to_string).collect()
}

fn frames(before: &str, frames: impl Iterator<Item = i64>, behind: &str) -> Vec<String> {
    frames.map(|frame| format!("{before}{frame:04}{behind}")).collect()
}

#[test]
fn sequences_and_their_holes() {
    let shot = frames("beauty.", (1001..=1100).filter(|frame| *frame != 1057), ".exr");
    let shot: Vec<&str> = shot.iter().map(String::as_str).collect();
    assert_eq!(lines(&shot), ["beauty.####.exr 1001-1100, 1057 missing"]);
    for (names, told) in [
        (&["a.1.exr", "a.2.exr", "a.10.exr"][..], &["a.#.exr 1-10, 3-9 missing"][..]),
        (&["a.9999.exr", "a.0001.exr", "a.10000.exr"], &["a.####.exr 1-10000, 2-9998 missing"]),
        (
            &["a.001.exr", "a.0001.exr", "a.002.exr", "a.0002.exr"],
            &["a.####.exr 1-2", "a.###.exr 1-2"],
        ),
        (&["a.-002.exr", "a.-001.exr", "a.0000.exr", "a.0001.exr"], &["a.####.exr -2-1"]),
        (&["a.1001.exr", "a.1003.exr", "a.1007.exr"], &["a.####.exr 1001-1007x2, 1005 missing"]),
        (
            &["a.left.1001.exr", "a.left.1002.exr", "a.right.1001.exr", "b.mov"],
            &["a.left.####.exr 1001-1002", "a.right.1001.exr", "b.mov"],
        ),
        (&["render0001.png", "render0002.png"], &["render####.png 1-2"]),
        (&["0001.png", "0002.png"], &["####.png 1-2"]),
        (
            &["s_v001.ma", "s_v002.ma", "sh010.abc", "sh020.abc"],
            &["s_v001.ma", "s_v002.ma", "sh010.abc", "sh020.abc"],
        ),
        (&["d_20240131.mov", "d_20240201.mov"], &["d_20240131.mov", "d_20240201.mov"]),
        (&["f.1001.bgeo.sc", "f.1002.bgeo.sc"], &["f.####.bgeo.sc 1001-1002"]),
        (&["w.1001.tx", "w.1002.tx", "w.1011.tx"], &["w.<UDIM>.tx 1001-1002, 1011"]),
        (&["w_1001.exr", "w_1011.exr"], &["w_<UDIM>.exr 1001, 1011"]),
        (&["w_0001.exr", "w_0003.exr"], &["w_####.exr 1-3, 2 missing"]),
        (&["a.1.x", "a.1.x", "a.2.x"], &["a.#.x 1-2"]),
        (&[], &[]),
    ] {
        assert_eq!(lines(names), told, "{names:?}");
    }
    let holes = frames("a.", (0..40).filter(|frame| frame % 4 != 1), ".exr");
    let holes: Vec<&str> = holes.iter().map(String::as_str).collect();
    assert_eq!(lines(&holes), ["a.####.exr 0-39, 1, 5, 9, 13, 17, 21, 25, 29 and 2 more missing"]);
}

#[test]
fn sequences_as_json() {
    let names = ["a.1001.exr", "a.1003.exr", "b.mov", "w.1001.tx", "w.1002.tx"];
    let json = serde_json::to_string_pretty(&sequences(names)).unwrap();
    insta::assert_snapshot!(json);
}

#[test]
fn selectors_select() {
    let all = [
        "shots/sq01/sh010/renderMain/v003/exr",
        "shots/sq01/sh010/renderMain/v004/exr",
        "shots/sq01/sh010/renderMain/v004/h264_mp4",
        "shots/sq01/sh020/renderLeft/hero/exr",
        "shots/sq02/plates",
        "shots/sq02/plates/v003/exr/",
        ".",
    ]
    .map(|text| text.parse::<Naming>().unwrap());
    for (text, found) in [
        ("shots/sq01/sh010/renderMain/v003/exr", &[0][..]),
        ("shots/*/*/render*/latest/exr", &[1, 3]),
        ("shots/**/latest/exr", &[1, 3]),
        ("shots/**/v00?/exr", &[0, 1, 5]),
        ("**/exr", &[0, 1, 3, 5]),
        ("**", &[0, 1, 2, 3, 4, 5, 6]),
        ("shots/**", &[0, 1, 2, 3, 4, 5]),
        ("shots/sq02/plates", &[4]),
        ("shots/sq02/plates/", &[4]),
        ("shots/sq02/plates/v003/exr", &[]),
        ("shots/sq02/plates/v003/exr/", &[5]),
        ("shots/**/", &[4, 5]),
        (".", &[6]),
        ("./shots/sq02/plates", &[4]),
        ("shots", &[]),
        ("Shots/**", &[]),
        ("latest/exr", &[]),
    ] {
        let pattern: NamingPattern = text.parse().unwrap();
        let mut matching: Vec<&Naming> = all.iter().filter(|one| pattern.matches(one)).collect();
        for one in &matching {
            let within = pattern.within();
            let inside = one.folder.starts_with(&format!("{within}/"));
            assert!(within.is_empty() || one.folder == within || inside, "{text}: {within}");
        }
        if pattern.latest() {
            newest_versions(&mut matching, |naming| naming);
        }
        let matching: Vec<usize> = matching
            .iter()
            .map(|one| all.iter().position(|known| known == *one).unwrap())
            .collect();
        assert_eq!(matching, found, "{text}");
    }
}

#[test]
fn selectors_are_told_apart() {
    let file = |root: &str, path: &str| Selector::File { root: root.into(), path: path.into() };
    assert_eq!("#123".parse(), Ok(Selector::Id(123)));
    assert_eq!("{root[work]}/a/b.exr".parse(), Ok(file("work", "a/b.exr")));
    assert!(matches!("#a".parse(), Ok(Selector::Naming(_))));
    assert!(matches!("./#1".parse(), Ok(Selector::Naming(_))));
    let Ok(Selector::Naming(path)) = "shots/a.1001.exr".parse() else { panic!("a naming") };
    assert_eq!(path.path(), Some("shots/a.1001.exr"));
    let keys = Selector::lines("#1\r\n\n shots/a\n{root[work]}/b\n").unwrap();
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["#1", " shots/a", "{root[work]}/b"]);
    let told: Vec<String> = [
        "",
        "#0",
        "#99999999999999999999",
        "/mnt/shots/a.exr",
        "shots//a",
        "shots/../a",
        "shots/a**/exr",
        "{root[work]}",
        "{root[work]}/../a",
        "{root[]}/a",
        "{root[work/a",
    ]
    .iter()
    .map(|text| text.parse::<Selector>().expect_err(text).to_string())
    .chain([Selector::lines("#1\n/a\n").expect_err("a line").to_string()])
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

/// Parts that make up paths as they are, and as nobody would have them.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        "(v|V|)[0-9]{1,10}",
        "(hero|master|publish|work|latest|\\*\\*|\\*)",
        "[a_]{1,4}(_v|_)[0-9]{1,3}(_[a-z_]{0,3})?(\\.-?[0-9]{1,4})?(\\.[A-Za-z]{0,3}){0,2}",
        "[^/\\x00]{1,6}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(part(), 1..10).prop_map(|parts| parts.join("/"))
}

fn is_plain(path: &str) -> bool {
    !path.split('/').any(|part| matches!(part, "" | "." | ".."))
}

proptest! {
    #[test]
    fn every_naming_reads_back(path in path()) {
        prop_assume!(is_plain(&path));
        for templates in [Templates::default(), Templates::compile::<&str>(&[]).unwrap()] {
            let naming = templates.naming(&path);
            let text = naming.to_string();
            prop_assert_eq!(text.parse::<Naming>(), Ok(naming), "{}", text);
        }
    }

    #[test]
    fn every_text_is_one_naming(text in path()) {
        if let Ok(naming) = text.parse::<Naming>() {
            prop_assert_eq!(naming.to_string().parse::<Naming>(), Ok(naming));
        }
    }

    #[test]
    fn every_naming_selects_itself(path in path()) {
        prop_assume!(is_plain(&path));
        let naming = Templates::default().naming(&path);
        let pattern: NamingPattern = match naming.to_string().parse() {
            Ok(pattern) => pattern,
            // A name with `**` in it.
            Err(_) => return Ok(()),
        };
        prop_assert!(pattern.matches(&naming), "{} {:?}", naming, pattern);
        let within = pattern.within();
        let inside = format!("{}/", naming.folder).starts_with(&format!("{within}/"));
        prop_assert!(within.is_empty() || inside, "{}", within);
    }

    #[test]
    fn selectors_read_back(text in prop_oneof![path(), path().prop_map(|p| format!("{{root[work]}}/{p}")), ".*"]) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string(), text.clone());
        }
    }

    #[test]
    fn no_text_is_too_odd(template in ".*", path in ".*", names in prop::collection::vec(".*", 0..6)) {
        let _ = Templates::default().naming(&path);
        if let Ok(templates) = Templates::compile(&[&template]) {
            let _ = templates.naming(&path);
        }
        let _ = Selector::lines(&path);
        let _ = sequences(names.iter().map(String::as_str));
    }

    #[test]
    fn templates_of_any_pieces_are_compiled_or_refused(
        pieces in prop::collection::vec(
            prop_oneof!["[{}/<_.a]", r"\{(folder|product|version|name|ext|file|asset|_)\}"], 0..12
        ),
        path in path(),
    ) {
        let template = pieces.concat();
        if let Ok(templates) = Templates::compile(&[&template]) {
            let naming = templates.naming(&path);
            prop_assert_eq!(naming.is_by_folder(), naming.name.is_empty());
        }
    }

    #[test]
    fn sequences_hold_every_name_once(
        names in prop::collection::vec(
            "[ab]?[._]?-?(0{0,3}[0-9]{1,2}|10[0-9]{2})\\.(exr|tx)", 0..40
        ),
    ) {
        let distinct: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let found = sequences(names.iter().map(String::as_str));
        prop_assert_eq!(found.iter().map(|one| one.files).sum::<usize>(), distinct.len());
        for one in found {
            match &one.numbers {
                None => prop_assert!(distinct.contains(one.name.as_str())),
                Some(Numbers::Tiles(tiles)) => {
                    prop_assert_eq!(tiles.iter().map(Range::count).sum::<u64>(), one.files as u64);
                }
                Some(Numbers::Frames { range, missing }) => {
                    let missing: u64 = missing.iter().map(Range::count).sum();
                    prop_assert_eq!(range.count(), one.files as u64 + missing, "{}", one);
                }
            }
        }
    }
}
