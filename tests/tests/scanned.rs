//! Publish folders that nobody published: a scan finds out what belongs together, and what is missing.

use sitesync_tests::bench::Bench;

/// Frames of a sequence, but for those that are missing.
fn frames(bench: &Bench, name: &str, missing: &[u32]) {
    for n in (1001..=1100).filter(|n| !missing.contains(n)) {
        bench
            .write(&format!("here/{}", name.replace("####", &n.to_string())), format!("frame {n}"));
    }
}

fn shows(bench: &Bench, what: &str, words: &[&str]) {
    let shown = bench.run(&["show", "demo", what]).ends(0).stdout;
    for word in words {
        assert!(shown.contains(word), "{what} does not show {word:?}: {shown}");
    }
}

#[test]
fn a_tree_as_ayon_publishes_it() {
    let bench = Bench::new();
    let render = "shots/sq01/sh010/publish/render/renderMain/v003";
    frames(&bench, &format!("{render}/demo_sh010_renderMain_v003.####.exr"), &[1057]);
    bench.write(&format!("here/{render}/demo_sh010_renderMain_v003.mov"), "a review");
    bench
        .write("here/assets/tree/publish/model/modelMain/v001/demo_tree_modelMain_v001.abc", "abc");
    bench.sync().ends(0).sums(101, 0, 0);
    bench.assert_equal_sites();
    let beauty = "shots/sq01/sh010/renderMain/v003/exr";
    shows(
        &bench,
        beauty,
        &["99 files", "demo_sh010_renderMain_v003.####.exr 1001-1100, 1057 missing"],
    );
    shows(&bench, beauty, &["here: synced", "there: synced"]);
    shows(&bench, "shots/sq01/sh010/renderMain/v003/mov", &["1 file"]);
    shows(&bench, "assets/tree/modelMain/v001/abc", &["1 file", "there: synced"]);

    // What was missing comes.
    bench.write(&format!("here/{render}/demo_sh010_renderMain_v003.1057.exr"), "frame 1057");
    bench.sync().ends(0).sums(1, 0, 0);
    let whole = bench.run(&["show", "demo", beauty]).ends(0).stdout;
    assert!(whole.contains("1001-1100") && !whole.contains("missing"), "{whole}");
}

/// Two versions of a render beside each other, and a work file.
#[test]
fn a_tree_as_openpype_publishes_it() {
    let bench = Bench::new();
    let render = "shots/sh020/publish/render/renderLightingBeauty/v012";
    frames(
        &bench,
        &format!("{render}/demo_sh020_renderLightingBeauty_v012.####.exr"),
        &[1003, 1004, 1005, 1099],
    );
    let older = "shots/sh020/publish/render/renderLightingBeauty/v011";
    frames(&bench, &format!("{older}/demo_sh020_renderLightingBeauty_v011.####.exr"), &[]);
    bench.write(
        "here/shots/sh020/publish/workfile/workfileLighting/v012/demo_sh020_workfileLighting_v012.ma",
        "a scene",
    );
    bench.sync().ends(0).sums(197, 0, 0);
    bench.assert_equal_sites();
    let all = bench.run(&["show", "demo"]).ends(0).stdout;
    for name in [
        "shots/sh020/renderLightingBeauty/v011/exr",
        "shots/sh020/renderLightingBeauty/v012/exr",
        "shots/sh020/workfileLighting/v012/ma",
    ] {
        assert!(all.contains(name), "{name}: {all}");
    }
    shows(
        &bench,
        "shots/*/renderLightingBeauty/latest/*",
        &["v012", "96 files", "1001-1100, 1003-1005, 1099 missing"],
    );
    shows(&bench, "shots/sh020/renderLightingBeauty/v011/exr", &["100 files", "1001-1100\n"]);
}
