//! Names: what a root declares possible arrives as it is, what it does not is refused.

use std::collections::BTreeSet;

use super::{Case, case, needs};
use crate::conformance::ground::Ground;
use crate::conformance::outcome::{Outcome, demand, not_applicable, refused};
use crate::{DeleteOptions, ErrorKind, NameRules};

pub(super) const CASES: &[Case] = &[
    case!(
        "names",
        names_with_spaces_are_kept,
        "People put spaces anywhere, and services like to trim them."
    ),
    case!(
        "names",
        names_with_dots_are_kept,
        "Versions and frames are told apart by dots, and a leading one hides nothing from a sync."
    ),
    case!(
        "names",
        names_with_quotes_are_kept,
        "A quote or a backslash ends a query of a service early: at best nothing is found."
    ),
    case!(
        "names",
        names_with_the_signs_of_urls_are_kept,
        "`%`, `#`, `?` and `&` mean something in a URL, and are plain characters in a name."
    ),
    case!(
        "names",
        names_that_look_encoded_are_kept,
        "`%2F` is three characters; whoever decodes it finds a folder."
    ),
    case!(
        "names",
        names_with_the_signs_of_shells_are_kept,
        "A name is data: it may look like an option, a pattern or a variable."
    ),
    case!(
        "names",
        names_that_are_words_are_kept,
        "`null`, `0` and `true` are names like any other, also where they pass through JSON."
    ),
    case!(
        "names",
        names_with_control_characters_are_kept,
        "Disks take them: a tab or a line break in a name is no reason to lose a file."
    ),
    case!(
        "names",
        names_of_all_languages_are_kept,
        "Studios are everywhere, and so are the characters of their names."
    ),
    case!(
        "names",
        composed_and_decomposed_names_are_two,
        needs::unicode_exact,
        "Where both forms can exist, treating them as one loses a file."
    ),
    case!(
        "names",
        composed_and_decomposed_names_are_one,
        needs::unicode_folded,
        "Where both forms are one name, a write to the other form must not replace the file."
    ),
    case!(
        "names",
        upper_and_lower_case_are_two,
        needs::case_sensitive,
        "Where `A` and `a` are two files, neither may replace the other."
    ),
    case!(
        "names",
        upper_and_lower_case_are_one,
        needs::case_insensitive,
        "Where `A` and `a` are one file, writing the other must be refused and not replace it."
    ),
    case!(
        "names",
        names_as_long_as_allowed_are_kept,
        needs::longest_name,
        "Temporaries and encodings make names longer: the declared length is that of the name itself."
    ),
    case!(
        "names",
        longer_names_are_refused,
        needs::longest_name,
        "A name that is cut off meets another one; `InvalidPath` is nothing to retry."
    ),
    case!(
        "names",
        paths_as_long_as_allowed_are_kept,
        needs::longest_path,
        "What is declared is what the host lets through."
    ),
    case!(
        "names",
        longer_paths_are_refused,
        needs::longest_path,
        "A path that cannot be expressed is nothing to retry: `InvalidPath` says so."
    ),
    case!(
        "names",
        forbidden_characters_are_refused,
        needs::forbidden_characters,
        "A character that is replaced in silence makes two names one."
    ),
    case!(
        "names",
        forbidden_names_are_refused,
        needs::forbidden_names,
        "Writing to the name of a device writes to the device."
    ),
    case!(
        "names",
        trailing_dots_and_spaces_are_refused,
        needs::no_trailing_dot_or_space,
        "Where they are dropped in silence, `a.` and `a` are one file."
    ),
    case!(
        "names",
        folders_take_the_same_names,
        "A folder's name goes into the path of all beneath it, and is encoded on another way."
    ),
    case!(
        "names",
        names_that_begin_alike_are_apart,
        "Where folders are prefixes of keys, `a` is the beginning of `ab` and no folder of it."
    ),
    case!(
        "names",
        deep_paths_are_kept,
        "Pipelines nest deeply, and each level is a look-up that may be cached wrongly."
    ),
];

/// True if a root with these rules takes the name.
fn is_allowed(name: &str, rules: &NameRules) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    !name.chars().any(|c| rules.forbidden_characters.contains(c))
        && !rules.forbidden_names.iter().any(|taken| taken.eq_ignore_ascii_case(stem))
        && (rules.trailing_dot_or_space || !name.ends_with(['.', ' ']))
        && rules.longest_name.is_none_or(|longest| name.len() <= longest as usize)
}

/// Writes files of these names, as far as the root takes them, and demands that each is there
/// under exactly its name, with its content, until it is deleted.
async fn keeps(t: &Ground, names: &[&str]) -> Outcome {
    let rules = &t.info().names;
    let names: Vec<&str> = names.iter().copied().filter(|name| is_allowed(name, rules)).collect();
    if names.is_empty() {
        return not_applicable("the root declares that it takes no such names");
    }
    let mut files = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let bytes = t.content(100 + n);
        t.put(name, &bytes).await?;
        files.push((*name, bytes));
    }
    let listed: BTreeSet<String> = t.entries("").await?.into_keys().collect();
    for (name, bytes) in &files {
        demand!(listed.contains(*name), "{name:?} is not listed, but {listed:?}");
        let found = t.stat(name).await?.size;
        demand!(found == bytes.len() as u64, "stat of {name:?} finds another file");
        t.holds(name, bytes).await?;
    }
    demand!(listed.len() == files.len(), "{} names became {listed:?}", files.len());
    for (name, _) in &files {
        t.delete(name, DeleteOptions::default()).await?;
        t.absent(name).await?;
    }
    Ok(())
}

async fn names_with_spaces_are_kept(t: Ground) -> Outcome {
    keeps(&t, &["a b", " leading", "trailing ", "two  spaces", " ", "no\u{a0}break", "a . b"]).await
}

async fn names_with_dots_are_kept(t: Ground) -> Outcome {
    keeps(
        &t,
        &[".hidden", "a.b.c", "...", "..a", "a..b", "trailing.", "a.tar.gz", "beauty.0001.exr"],
    )
    .await
}

async fn names_with_quotes_are_kept(t: Ground) -> Outcome {
    keeps(&t, &["it's", "\"quoted\"", "`ticks`", "back\\slash", "\\'", "'", "\"", "\\", "a\\\\b"])
        .await
}

async fn names_with_the_signs_of_urls_are_kept(t: Ground) -> Outcome {
    let names = [
        "100%", "a#b", "a?b", "a&b=c", "a+b", "a;b", "a:b", "a@b", "%", "#", "?", "http:", "a,b=c",
    ];
    keeps(&t, &names).await
}

async fn names_that_look_encoded_are_kept(t: Ground) -> Outcome {
    keeps(&t, &["a%20b", "a b", "%2F", "%2e%2e", "%00", "%25", "%c3%a9", "&amp;", "\\u0041", "%zz"])
        .await
}

async fn names_with_the_signs_of_shells_are_kept(t: Ground) -> Outcome {
    let names =
        ["-rf", "--", "*", "$HOME", "~", "a|b", "a<b>", "!", "(a)", "[a]", "{a}", "^", "a'b;c"];
    keeps(&t, &names).await
}

async fn names_that_are_words_are_kept(t: Ground) -> Outcome {
    keeps(&t, &["null", "true", "0", "-1", "1e3", "undefined", "NaN", "root", "trash", "1.0"]).await
}

async fn names_with_control_characters_are_kept(t: Ground) -> Outcome {
    keeps(&t, &["tab\there", "line\nbreak", "return\r", "bell\u{7}", "delete\u{7f}", "\u{1}"]).await
}

async fn names_of_all_languages_are_kept(t: Ground) -> Outcome {
    let names = [
        "Größe",
        "сцена",
        "場面",
        "장면",
        "مشهد",
        "סצנה",
        "ฉาก",
        "\u{1f3ac} take",
        "\u{1f469}\u{200d}\u{1f680}",
        "zero\u{200b}width",
        "\u{202e}turned",
        "ß",
        "ﬁ",
    ];
    keeps(&t, &names).await
}

async fn composed_and_decomposed_names_are_two(t: Ground) -> Outcome {
    keeps(&t, &["caf\u{e9}", "cafe\u{301}", "\u{212b}", "\u{c5}", "A\u{30a}"]).await
}

/// Demands that both names are one: what stands under one is in the way of the other.
async fn are_one(t: &Ground, one: &str, other: &str) -> Outcome {
    let bytes = t.content(1000);
    t.put(one, &bytes).await?;
    let answer = t.put(other, &t.content(500)).await;
    refused(&format!("writing {other:?} beside {one:?}"), answer, &[ErrorKind::AlreadyExists])?;
    t.holds(one, &bytes).await?;
    let there = t.entries("").await?;
    demand!(there.len() == 1, "{:?} are listed", there.keys().collect::<Vec<_>>());
    t.delete(one, DeleteOptions::default()).await?;
    Ok(())
}

async fn composed_and_decomposed_names_are_one(t: Ground) -> Outcome {
    are_one(&t, "caf\u{e9}", "cafe\u{301}").await
}

async fn upper_and_lower_case_are_two(t: Ground) -> Outcome {
    keeps(&t, &["File.EXR", "file.exr", "FILE.EXR", "É", "é"]).await
}

async fn upper_and_lower_case_are_one(t: Ground) -> Outcome {
    are_one(&t, "File.EXR", "file.exr").await?;
    are_one(&t, "lower", "LOWER").await
}

/// The declared length of a name, as far as memory goes.
fn longest_name(t: &Ground) -> usize {
    t.info().names.longest_name.unwrap_or_default().min(64 << 10) as usize
}

async fn names_as_long_as_allowed_are_kept(t: Ground) -> Outcome {
    let longest = longest_name(&t);
    let ascii = "n".repeat(longest);
    let extended = format!("{}.exr", "e".repeat(longest.saturating_sub(4)));
    // As many bytes again, in fewer characters.
    let wide = format!("{}{}", "é".repeat(longest / 2), "x".repeat(longest % 2));
    keeps(&t, &[&ascii, &extended, &wide]).await
}

async fn longer_names_are_refused(t: Ground) -> Outcome {
    let longest = longest_name(&t);
    let bytes = t.content(10);
    for name in ["n".repeat(longest + 1), "é".repeat(longest / 2 + 1)] {
        let what = format!("writing a name of {} bytes", name.len());
        refused(&what, t.put(&name, &bytes).await, &[ErrorKind::InvalidPath])?;
        let what = format!("making a folder with a name of {} bytes", name.len());
        refused(&what, t.create_folder(&name).await, &[ErrorKind::InvalidPath])?;
        let kinds = [ErrorKind::NotFound, ErrorKind::InvalidPath];
        refused("stat of it", t.stat(&name).await, &kinds)?;
    }
    Ok(())
}

/// A name beneath the ground whose whole path has so many bytes; `None` if the ground's own path
/// leaves no room for it.
fn of_length(t: &Ground, bytes: usize) -> Option<String> {
    let mut left = bytes.checked_sub(t.path("").len() + 1).filter(|left| *left > 0)?;
    let longest = t.info().names.longest_name.map_or(200, |longest| longest.min(200) as usize);
    let mut parts = Vec::new();
    while left > longest {
        // What is left after a part and its `/` has room for one more.
        let part = longest.min(left - 2);
        parts.push("d".repeat(part));
        left -= part + 1;
    }
    parts.push("f".repeat(left));
    Some(parts.join("/"))
}

async fn paths_as_long_as_allowed_are_kept(t: Ground) -> Outcome {
    let longest = t.info().names.longest_path.unwrap_or_default().min(64 << 10) as usize;
    let Some(name) = of_length(&t, longest) else {
        return not_applicable("the suite's own folder leaves no room for it");
    };
    let bytes = t.content(100);
    t.put(&name, &bytes).await?;
    t.holds(&name, &bytes).await
}

async fn longer_paths_are_refused(t: Ground) -> Outcome {
    let longest = t.info().names.longest_path.unwrap_or_default().min(64 << 10) as usize;
    let Some(name) = of_length(&t, longest + 1) else {
        return not_applicable("the suite's own folder leaves no room for it");
    };
    let answer = t.put(&name, &t.content(100)).await;
    refused("writing a longer path", answer, &[ErrorKind::InvalidPath])?;
    Ok(())
}

/// Demands that files and folders of this name are refused, and nothing comes of it.
async fn takes_not(t: &Ground, name: &str) -> Outcome {
    let kinds = [ErrorKind::InvalidPath];
    refused(&format!("writing {name:?}"), t.put(name, &t.content(10)).await, &kinds)?;
    refused(&format!("making the folder {name:?}"), t.create_folder(name).await, &kinds)?;
    let beneath = format!("{name}/file");
    refused(&format!("writing {beneath:?}"), t.put(&beneath, &t.content(10)).await, &kinds)?;
    Ok(())
}

async fn forbidden_characters_are_refused(t: Ground) -> Outcome {
    t.create_folder("").await?;
    for forbidden in t.info().names.forbidden_characters.chars() {
        // These divide paths, or come in none.
        if !matches!(forbidden, '/' | '\0') {
            takes_not(&t, &format!("a{forbidden}b")).await?;
        }
    }
    let there = t.entries("").await?;
    demand!(there.is_empty(), "{:?} came of it", there.keys().collect::<Vec<_>>());
    Ok(())
}

async fn forbidden_names_are_refused(t: Ground) -> Outcome {
    t.create_folder("").await?;
    for name in &t.info().names.forbidden_names {
        for name in [name.clone(), name.to_lowercase(), format!("{name}.txt")] {
            takes_not(&t, &name).await?;
        }
    }
    let there = t.entries("").await?;
    demand!(there.is_empty(), "{:?} came of it", there.keys().collect::<Vec<_>>());
    Ok(())
}

async fn trailing_dots_and_spaces_are_refused(t: Ground) -> Outcome {
    t.create_folder("").await?;
    for name in ["a.", "a ", "a. ", "a..."] {
        takes_not(&t, name).await?;
    }
    let there = t.entries("").await?;
    demand!(there.is_empty(), "{:?} came of it", there.keys().collect::<Vec<_>>());
    Ok(())
}

async fn folders_take_the_same_names(t: Ground) -> Outcome {
    let names =
        ["a b", "it's", "100%", "a%20b", "a#b?c", "Größe", "場面", ".hidden", "a+b&c", "-rf"];
    for (n, name) in names.into_iter().enumerate() {
        if !is_allowed(name, &t.info().names) {
            continue;
        }
        let bytes = t.content(100 + n);
        let path = format!("{name}/{name}/file");
        t.put(&path, &bytes).await?;
        t.holds(&path, &bytes).await?;
        let beneath: Vec<_> = t.entries(name).await?.into_keys().collect();
        demand!(beneath == [name], "the folder {name:?} holds {beneath:?}");
        let listed = t.entries("").await?;
        demand!(listed.contains_key(name), "the folder {name:?} is not listed");
    }
    Ok(())
}

async fn names_that_begin_alike_are_apart(t: Ground) -> Outcome {
    let files = ["a/x", "ab/x", "a.b/x", "a-b", "a b", "aa", "a/xy", "ab/xy"];
    let contents: Vec<_> = files.iter().map(|_| t.content(100)).collect();
    for (name, bytes) in files.iter().zip(&contents) {
        t.put(name, bytes).await?;
    }
    let names: Vec<_> = t.entries("a").await?.into_keys().collect();
    demand!(names == ["x", "xy"], "\"a\" holds {names:?}");
    let names: Vec<_> = t.entries("").await?.into_keys().collect();
    demand!(names == ["a", "a b", "a-b", "a.b", "aa", "ab"], "the folder above holds {names:?}");
    t.delete("a/x", DeleteOptions::default()).await?;
    t.absent("a/x").await?;
    for (name, bytes) in files.iter().zip(&contents).skip(1) {
        t.holds(name, bytes).await?;
    }
    Ok(())
}

async fn deep_paths_are_kept(t: Ground) -> Outcome {
    let room = t.info().names.longest_path.map_or(usize::MAX, |longest| longest as usize);
    let depth = 32.min(room.saturating_sub(t.path("").len() + 5) / 3);
    let folder = vec!["d"; depth].join("/");
    let name = format!("{folder}/file");
    let bytes = t.content(1000);
    t.put(&name, &bytes).await?;
    t.holds(&name, &bytes).await?;
    let names: Vec<_> = t.entries(&folder).await?.into_keys().collect();
    demand!(names == ["file"], "the deepest folder holds {names:?}");
    Ok(())
}
