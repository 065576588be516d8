//! The nearest right spelling of a word.

/// Returns the candidate that was probably meant, if any is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let plain = plain(candidate);
            let distance = strsim::damerau_levenshtein(&word, &plain);
            // `remote` means `remote_site`.
            let begins = word.len() >= 4 && plain.starts_with(&word);
            (distance <= allowed || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether two words differ in one slip, or only in how they are written.
pub(super) fn one_slip(word: &str, candidate: &str) -> bool {
    word != candidate && strsim::damerau_levenshtein(&plain(word), &plain(candidate)) <= 1
}

/// Returns `` did you mean `x`? `` or the list of what is allowed.
pub(super) fn advice(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("allowed here: {}", listed(candidates)),
    }
}

/// Returns the words in backticks with commas between them.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `retryCount`, `retry-count` and `Retry_Count` are one slip of the same pen.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["retry_count", "loop_delay", "active_site", "remote_site"];
        for (word, meant) in [
            ("retry_cuont", Some("retry_count")),
            ("retryCount", Some("retry_count")),
            ("retry-count", Some("retry_count")),
            ("remote", Some("remote_site")),
            ("loop", Some("loop_delay")),
            ("bandwidth", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
    }
}
