//! What is wrong with a settings file, and how that is told.

use std::fmt;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The settings are refused.
    Error,
    /// Allowed, but worth knowing.
    Note,
}

/// A place in a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The line, fit to be shown.
    pub text: String,
    /// Characters of `text` before the place.
    pub(super) caret: usize,
    /// How many carets stand under `text`.
    pub(super) width: usize,
}

/// One thing that is wrong, or worth knowing. Its `Display` is what a person is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// The file's name, as it was given.
    pub file: String,
    /// Where it stands; `None` where it is the file as a whole.
    pub place: Option<Place>,
    /// What was found, and what is allowed.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// Returns a problem of a whole file.
    #[must_use]
    pub fn new(level: Level, file: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { level, file: file.into(), place: None, message: message.into(), hint: None }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    /// In the manner of rustc; several lines, none at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Note => "note",
        };
        write!(f, "{level}: {}", self.message)?;
        let gutter = match &self.place {
            Some(place) => {
                let gutter = place.line.to_string().len();
                let Place { line, column, text, caret, width } = place;
                write!(f, "\n{:gutter$}--> {}:{line}:{column}", "", self.file)?;
                write!(f, "\n{:gutter$} |", "")?;
                write!(f, "\n{line} | {text}")?;
                write!(f, "\n{:gutter$} | {:caret$}{}", "", "", "^".repeat(*width))?;
                gutter
            }
            None => {
                write!(f, "\n --> {}", self.file)?;
                1
            }
        };
        if let Some(hint) = &self.hint {
            write!(f, "\n{:gutter$} = help: {hint}", "")?;
        }
        Ok(())
    }
}

/// Why settings were refused: at least one error, and the notes, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Errors {
    /// What is wrong.
    pub errors: Vec<Problem>,
    /// What else is worth knowing.
    pub notes: Vec<Problem>,
}

impl Errors {
    pub(super) fn new(errors: Vec<Problem>, notes: Vec<Problem>) -> Self {
        Errors { errors, notes }
    }
}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Errors::new(vec![problem], Vec::new())
    }
}

impl fmt::Display for Errors {
    /// Every error, an empty line between two. Notes are left for when the errors are gone: some
    /// only follow from them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
