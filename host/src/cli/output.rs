//! What all commands share in speaking to people and to programs.

use std::fmt::{self, Display};
use std::io::Write as _;
use std::process::ExitCode;

pub(super) use crate::publish::plain;
use crate::settings::units::format_bytes;

/// How a command ended. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It ran, but something failed or is in conflict, or a site is offline.
    Trouble,
    /// Wrong usage or settings.
    Usage,
    /// It could not run: locked, unreachable.
    Blocked,
    /// What it waited for did not come in time.
    Late,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Trouble => 1,
            Exit::Usage => 2,
            Exit::Blocked => 3,
            Exit::Late => 4,
        })
    }
}

/// Why a command could not do its work. Printed once, at the end.
#[derive(Debug)]
pub struct Failure {
    /// With which code to end.
    pub exit: Exit,
    message: String,
    hint: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl Failure {
    /// A failure with a sentence for a person.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Failure { exit, message: message.to_string(), hint: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Likewise, where there is anything to do.
    #[must_use]
    pub fn hint_if(self, hint: Option<impl Display>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(super) fn print(&self) {
        // Problems of the settings come with their own shape.
        let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>().join("\n");
        let text = lines(self.message.trim_end());
        let head = if text.starts_with("error") { "" } else { "error: " };
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{head}{text}");
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "  help: {}", lines(hint));
        }
    }
}

impl From<crate::catalog::Error> for Failure {
    fn from(error: crate::catalog::Error) -> Self {
        Failure::new(Exit::Blocked, error)
    }
}

impl From<crate::state_dir::Error> for Failure {
    fn from(error: crate::state_dir::Error) -> Self {
        Failure::new(Exit::Blocked, error)
    }
}

impl From<crate::settings::Errors> for Failure {
    fn from(errors: crate::settings::Errors) -> Self {
        Failure::new(Exit::Usage, errors)
    }
}

impl From<crate::plugins::Refusal> for Failure {
    fn from(refusal: crate::plugins::Refusal) -> Self {
        Failure::new(Exit::Blocked, plain(&refusal.reason)).hint(plain(&refusal.remedy))
    }
}

/// Prints a result. A closed pipe is no error: whoever read it has seen enough.
pub(super) fn print(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Prints a JSON value on a line of its own.
pub(super) fn print_json(value: &serde_json::Value) {
    print(format_args!("{value}\n"));
}

/// Prints what is not a result.
pub(super) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A count, a size with its unit, a version: digits first, and no more than one word after them.
fn is_number(cell: &str) -> bool {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.chars().all(digits)
        && unit.chars().all(char::is_alphabetic)
}

/// `1 file`, `2 files`.
pub(super) fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Bytes as people write them.
pub(super) fn size(bytes: u64) -> String {
    format_bytes(bytes)
}

/// Columns, as wide as they need to be. Numbers to the right.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Table { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| plain(cell)).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let numeric = |column: usize| {
            let mut cells = self.rows.iter().skip(1).filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some() && cells.all(|cell| is_number(cell))
        };
        let right: Vec<bool> = (0..columns).map(numeric).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                if right[column] {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["site", "files"]);
        table.row(vec!["studio".into(), "12".into()]);
        table.row(vec!["é".into(), "1000".into()]);
        assert_eq!(table.to_string(), "site    files\nstudio     12\né        1000\n");
    }
}
