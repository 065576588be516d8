//! Whether a name may exist at a destination. Nothing is renamed behind the user's back: what may
//! not, fails, and the message names the rule.

use sitesync_provider::{NameRules, OURS};

/// Why a file of this size can't be at a root, or `Ok`.
pub(super) fn check_size(largest: Option<u64>, size: u64) -> Result<(), String> {
    match largest {
        Some(largest) if size > largest => {
            Err(format!("it has {size} bytes; {largest} is the most for a file there"))
        }
        _ => Ok(()),
    }
}

/// Why this file can't be at a root with these rules, or `Ok`.
pub(super) fn check(rules: &NameRules, folder: &str, name: &str) -> Result<(), String> {
    let length = folder.len() + name.len() + usize::from(!folder.is_empty());
    if rules.longest_path.is_some_and(|longest| length > longest as usize) {
        let longest = rules.longest_path.unwrap_or_default();
        return Err(format!("its path has {length} bytes; {longest} is the most there"));
    }
    folder.split('/').filter(|part| !part.is_empty()).chain([name]).try_for_each(|part| {
        if rules.longest_name.is_some_and(|longest| part.len() > longest as usize) {
            let longest = rules.longest_name.unwrap_or_default();
            return Err(format!("a name of {} bytes; {longest} is the most there", part.len()));
        }
        let forbidden = part.chars().find(|c| rules.forbidden_characters.contains(*c));
        if let Some(c) = forbidden {
            return Err(format!("'{}' is not allowed in names there", c.escape_debug()));
        }
        let stem = part.split('.').next().unwrap_or(part);
        if rules.forbidden_names.iter().any(|taken| taken.eq_ignore_ascii_case(stem)) {
            return Err(format!("the name '{stem}' is taken there"));
        }
        if !rules.trailing_dot_or_space && part.ends_with(['.', ' ']) {
            return Err("a name may not end in a dot or a space there".to_owned());
        }
        Ok(())
    })
}

/// Why a name can't be where another one is that is the same there.
pub(super) fn one_with(other: &str) -> String {
    format!("differs only in case from '{other}', and is one with it there")
}

/// Two names with equal keys are one name at a root with these rules.
pub(super) fn fold(rules: &NameRules, name: &str) -> String {
    if rules.case_sensitive { name.to_owned() } else { name.to_lowercase() }
}

/// True for names that are ours and not the user's.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// True for what sitesync itself puts into a root: its folder, and temporaries.
pub(super) fn is_kept_here(name: &str) -> bool {
    name == OURS || name.ends_with(".tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_named() {
        // `NameRules` grows: only what a test is about is set.
        let rules: NameRules = serde_json::from_str(
            r#"{"case_sensitive":false,"longest_name":10,"longest_path":20,
                "forbidden_characters":":","forbidden_names":["CON"],
                "trailing_dot_or_space":false}"#,
        )
        .unwrap();
        for (folder, name, part) in [
            ("a", "b", ""),
            ("a", "b:c", "':' is not allowed"),
            ("x:y", "b", "':' is not allowed"),
            ("", "con.txt", "'con' is taken"),
            ("", "dot.", "end in a dot"),
            ("", "elevenbytes", "11 bytes"),
            ("aaaaaaaaa/bbbbbbbbb", "cc", "22 bytes"),
        ] {
            let found = check(&rules, folder, name).err().unwrap_or_default();
            assert!(found.contains(part), "{folder}/{name}: {found}");
            assert_eq!(found.is_empty(), part.is_empty(), "{folder}/{name}: {found}");
        }
        assert_eq!(fold(&rules, "ÄB"), fold(&rules, "äb"));
        assert_ne!(fold(&NameRules::default(), "A"), fold(&NameRules::default(), "a"));
    }
}
