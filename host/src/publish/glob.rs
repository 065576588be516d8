//! Patterns for file names: `*` is any text, `?` any one character, all else is itself.

/// Whether a pattern fits the whole of a file name. Case counts, on every platform: a pattern
/// must leave out the same files wherever it is applied.
#[must_use]
pub fn name_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // The last `*`, and where what follows it was last tried: going back to that one alone is
    // enough, so the work is at most pattern times name.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&character) if character == '?' || character == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    p = at + 1;
                    n = tried + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&character| character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_whole_names() {
        for (pattern, name, fits) in [
            ("*.tmp", "a.tmp", true),
            ("*.tmp", ".tmp", true),
            ("*.tmp", "a.tmp.exr", false),
            ("*.tmp", "a.TMP", false),
            ("Thumbs.db", "Thumbs.db", true),
            ("Thumbs.db", "xThumbs.db", false),
            ("*", "anything", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "é", true),
            ("beauty.????.exr", "beauty.1001.exr", true),
            ("beauty.????.exr", "beauty.101.exr", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**a", "aaaa", true),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            ("~*", "~lock.blend", true),
        ] {
            assert_eq!(name_matches(pattern, name), fits, "{pattern} on {name}");
        }
    }

    #[test]
    fn is_not_slow_on_hostile_patterns() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!name_matches(&pattern, &"a".repeat(2_000)));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,7}", name in "[ab]{0,7}") {
            fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|at| by_definition(rest, &name[at..])),
                    Some((b'?', rest)) => !name.is_empty() && by_definition(rest, &name[1..]),
                    Some((first, rest)) => {
                        name.first() == Some(first) && by_definition(rest, &name[1..])
                    }
                }
            }
            proptest::prop_assert_eq!(
                name_matches(&pattern, &name),
                by_definition(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
