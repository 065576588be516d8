//! Texts that somebody gave, as they are shown: they must not speak to a terminal, nor fill it; and as a
//! shell reads them.

use std::fmt::Write as _;

/// Characters of a text that is echoed.
const LONGEST: usize = 200;

/// Control characters of foreign names, escaped, and those that turn the direction of what follows: a
/// file name must not speak to the terminal, nor look like another one.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Likewise, and cut to what a line bears.
#[must_use]
pub fn echoed(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => plain(text),
        Some((end, _)) => format!("{}...", plain(&text[..end])),
    }
}

/// A word of a command, quoted if a shell would read it as something else.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", plain(word).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_speak_to_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{9b}d 🎬"), "a\\u{1b}[31mb\\nc\\u{9b}d 🎬");
        assert_eq!(echoed(&"é".repeat(300)), "é".repeat(200) + "...");
    }

    #[test]
    fn a_shell_reads_one_word() {
        assert_eq!(quoted("shots/sh010/a.exr"), "shots/sh010/a.exr");
        assert_eq!(quoted("shots/**"), "'shots/**'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
