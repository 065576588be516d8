//! What was published, as texts: which representation a path belongs to, and how people name one.
//!
//! What lives here: the [`Naming`] of a representation, the [`Templates`] that find it in a path, the
//! frame [`sequences`] among its files, and the [`Selector`]s that commands take. Everything is a
//! function of its arguments.
//!
//! What it never knows: storage, catalog, settings, the terminal.

mod file_name;
mod glob;
mod naming;
mod pieces;
mod selector;
mod sequence;
mod shown;
mod template;
#[cfg(test)]
mod tests;

pub use glob::name_matches;
pub use naming::{Naming, NamingError, newest_versions};
pub use selector::{NamingPattern, Selector, SelectorError};
pub use sequence::{Numbers, Range, Sequence, sequences};
pub use shown::{echoed, plain, quoted};
pub use template::{DEFAULTS, TemplateError, Templates};
