//! How a case says that a demand was not met.

use crate::{Error, ErrorKind, Result};

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Failure {
    /// What the provider did instead.
    Failed(String),
    /// What the case needs and this root lacks.
    NotApplicable(String),
}

/// What a case answers.
pub(super) type Outcome<T = ()> = std::result::Result<T, Failure>;

/// An error that no demand foresees.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(told(&error))
    }
}

/// Ends the case as failed, with a sentence.
pub(super) fn fail<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Failure::Failed(what.into()))
}

/// Ends the case as one that does not apply.
pub(super) fn not_applicable<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Failure::NotApplicable(why.into()))
}

/// Fails the case with a sentence unless the condition holds.
macro_rules! demand {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return $crate::conformance::outcome::fail(format!($($what)+));
        }
    };
}
pub(super) use demand;

/// Demands that this was refused with one of these kinds. Returns the kind.
pub(super) fn refused<T>(what: &str, answer: Result<T>, kinds: &[ErrorKind]) -> Outcome<ErrorKind> {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let names = names.join(" or ");
    match answer {
        Err(error) if kinds.contains(&error.kind()) => Ok(error.kind()),
        Err(error) => fail(format!("{what} was to be refused with {names}: {}", told(&error))),
        Ok(_) => fail(format!("{what} was done, and was to be refused with {names}")),
    }
}

/// Demands that this was refused, whatever the kind: but a provider may neither panic nor hang.
pub(super) fn refused_somehow<T>(what: &str, answer: Result<T>) -> Outcome {
    match answer {
        Err(error) if matches!(error.kind(), ErrorKind::Panicked | ErrorKind::Timeout) => {
            fail(format!("{what} was to be refused: {}", told(&error)))
        }
        Err(_) => Ok(()),
        Ok(_) => fail(format!("{what} was done, and was to be refused")),
    }
}

/// The message and the kind.
pub(super) fn told(error: &Error) -> String {
    format!("{} ({})", error.message(), error.kind())
}
