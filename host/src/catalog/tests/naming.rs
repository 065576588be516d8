//! Names as text and back, patterns, and the order of versions.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::super::naming::by_version;
use super::*;

fn naming(folder: &str, product: &str, version: &str, name: &str) -> Naming {
    let part = str::to_owned;
    Naming {
        folder: part(folder),
        product: part(product),
        version: part(version),
        name: part(name),
    }
}

#[test]
fn names_as_text() {
    for (text, parts) in [
        ("shots/sq01/sh010/renderMain/v003/exr", ("shots/sq01/sh010", "renderMain", "v003", "exr")),
        ("a/b/c/d", ("a", "b", "c", "d")),
        ("./model Main/v1.2/abc.gz", ("", "model Main", "v1.2", "abc.gz")),
        ("a///n", ("a", "", "", "n")),
        (".", ("", "", "", "")),
        ("dir", ("dir", "", "", "")),
        ("a/b/c", ("a/b/c", "", "", "")),
        ("a/b/c/d/", ("a/b/c/d", "", "", "")),
        ("ünï/cödé/v 1/日本語", ("ünï", "cödé", "v 1", "日本語")),
    ] {
        let (folder, product, version, name) = parts;
        let expected = naming(folder, product, version, name);
        assert_eq!(text.parse::<Naming>().unwrap(), expected, "{text}");
        assert_eq!(expected.to_string(), text);
    }
    // A '/' at the end always means a folder.
    assert_eq!("dir/".parse::<Naming>().unwrap(), Naming::of_folder("dir"));
}

#[test]
fn what_names_nothing_says_why() {
    for (text, why) in [
        ("", "an empty text"),
        ("a//b", "\"a//b\" is no path"),
        ("/a", "\"/a\" is no path"),
        ("//", "\"/\" is no path"),
    ] {
        let wrong = text.parse::<Naming>().unwrap_err().to_string();
        assert!(wrong.contains(why), "{text}: {wrong}");
    }
    for (naming, why) in [
        (naming("a", "p/q", "v1", "exr"), "its product \"p/q\" has a '/'"),
        (naming("a", "p", "v/1", "exr"), "its version"),
        (naming("a", "p", "v1", "x/y"), "its name"),
        (naming("a", "p", "v1", ""), "no name"),
        (naming(".", "p", "v1", "exr"), "no path of a folder"),
    ] {
        let wrong = naming.check().unwrap_err().to_string();
        assert!(wrong.contains(why), "{naming:?}: {wrong}");
    }
}

/// Parts with all that makes texts hard to take apart.
fn part() -> impl Strategy<Value = String> {
    "[a-c. \\-_*?:é日]{0,4}"
}

proptest! {
    #[test]
    fn every_name_that_can_be_stored_comes_back(
        path in prop::collection::vec(part(), 0..6),
        product in part(), version in part(), name in part(),
        grouped in any::<bool>(),
    ) {
        let folder = path.join("/");
        let named = naming(&folder, &product, &version, &name);
        let named = if grouped { Naming::of_folder(&folder) } else { named };
        if named.check().is_ok() {
            prop_assert_eq!(named.to_string().parse::<Naming>(), Ok(named));
        }
    }

    #[test]
    fn every_text_that_is_a_name_means_one(text in "[ab./]{0,12}") {
        if let Ok(named) = text.parse::<Naming>() {
            prop_assert_eq!(named.to_string().parse::<Naming>(), Ok(named));
        }
    }

    #[test]
    fn versions_have_one_order(a in "[a0-3v]{0,5}", b in "[a0-3v]{0,5}", c in "[a0-3v]{0,5}") {
        prop_assert_eq!(by_version(&a, &b), by_version(&b, &a).reverse());
        prop_assert_eq!(by_version(&a, &b) == Ordering::Equal, a == b);
        if by_version(&a, &b).is_lt() && by_version(&b, &c).is_lt() {
            prop_assert!(by_version(&a, &c).is_lt());
        }
    }
}

#[test]
fn versions_go_by_their_numbers() {
    let rising = ["", "hero", "master", "v1", "v2", "v002a", "v9", "v10", "v10.2", "v10.10"];
    for (at, lower) in rising.iter().enumerate() {
        for higher in &rising[at + 1..] {
            assert_eq!(by_version(lower, higher), Ordering::Less, "{lower} {higher}");
        }
    }
}

#[test]
fn patterns_find_names() {
    let t = fixture();
    let project = t.project;
    let all = [
        ".",
        "a/b/c/d/",
        "a/b/main/v1/exr",
        "a/b/main/v10/abc",
        "a/b/main/v10/exr",
        "a/b/main/v9/exr",
        "a/b/mask/hero/exr",
        "a/b/mask/v1/exr",
        "a/b2/main/v1/exr",
        "b/main/v1/exr",
    ];
    t.write(move |unit| {
        all.iter().try_for_each(|text| {
            let naming: Naming = text.parse().unwrap();
            unit.put_representation(project, &naming, 0, 0, "", false).map(drop)
        })
    });
    let like = |pattern: &str, limit| {
        let pattern = NamingPattern::of(pattern);
        let found = t.db.read(|view| view.representations_like(project, &pattern, limit)).unwrap();
        found.into_iter().map(|one| one.naming.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(like("a/b/main/v1/exr", 9), ["a/b/main/v1/exr"]);
    assert_eq!(
        like("a/*/main/v?/exr", 9),
        ["a/b/main/v1/exr", "a/b/main/v9/exr", "a/b2/main/v1/exr"]
    );
    assert_eq!(like("a/*/main/v?/exr", 2), ["a/b/main/v1/exr", "a/b/main/v9/exr"]);
    assert_eq!(like("a/b/*/latest/exr", 9), ["a/b/main/v10/exr", "a/b/mask/v1/exr"]);
    assert_eq!(like("*/latest/*", 9), [""; 0]);
    assert_eq!(
        like("*/*/latest/*", 9),
        [
            "a/b/main/v10/abc",
            "a/b/main/v10/exr",
            "a/b/mask/v1/exr",
            "a/b2/main/v1/exr",
            "b/main/v1/exr"
        ]
    );
    assert_eq!(like("*/*/latest/*", 3).len(), 3);
    assert_eq!(like("*/*/latest/*", 1), ["a/b/main/v10/abc"]);
    // The highest version is the product's, whatever it holds.
    assert_eq!(like("*/*/latest/abc", 9), ["a/b/main/v10/abc"]);
    assert_eq!(like("*/mask/latest/abc", 9), [""; 0]);
    assert_eq!(like("a/b/c/*/", 9), ["a/b/c/d/"]);
    assert_eq!(like(".", 9), ["."]);
    assert_eq!(like("*/*/*/*", usize::MAX).len(), all.len());
    assert_eq!(like("*/*/*/*", 0), [""; 0]);
}
