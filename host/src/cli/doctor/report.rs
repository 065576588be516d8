//! What the checks found: a line each for people, or one document.

use serde::Serialize;
use serde_json::json;

use super::super::output::{counted, plain, print, print_json};
use super::super::{Exit, Failure};
use crate::settings::{Level as Severity, Problem};

/// How bad a finding is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// As it should be, and worth knowing.
    Note,
    /// It works, and may soon not.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

/// What a check is about, from the bottom up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Area {
    Settings,
    State,
    Service,
    Catalog,
    Clock,
    PlugIns,
    Sites,
    Projects,
}

/// Where in a settings file something stands. Line and column are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct At {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
}

/// One check, and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    area: Area,
    /// What was looked at.
    subject: String,
    level: Level,
    /// The facts if it is ok; else the sentence that says what is the matter.
    message: String,
    /// What to do.
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<At>,
    /// What people are shown in the place of the message: it has its own shape.
    #[serde(skip)]
    shown: Option<String>,
}

impl Check {
    pub(super) fn ok(area: Area, subject: impl Into<String>, facts: impl Into<String>) -> Self {
        Check::new(Level::Ok, area, subject, facts)
    }

    pub(super) fn note(area: Area, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Check::new(Level::Note, area, subject, message)
    }

    pub(super) fn warn(area: Area, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Check::new(Level::Warn, area, subject, message)
    }

    pub(super) fn fail(area: Area, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Check::new(Level::Fail, area, subject, message)
    }

    pub(super) fn new(
        level: Level,
        area: Area,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Check { area, subject, level, message, hint: None, at: None, shown: None }
    }

    /// What to do.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of the lower floors, whose sentence ends with what to do, after a semicolon.
    pub(super) fn said(
        level: Level,
        area: Area,
        subject: impl Into<String>,
        error: impl ToString,
    ) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((message, hint)) => Check::new(level, area, subject, message).hint(hint),
            None => Check::new(level, area, subject, text),
        }
    }

    /// Why something could not be done.
    pub(super) fn failure(area: Area, subject: impl Into<String>, failure: &Failure) -> Self {
        let check = Check::fail(area, subject, failure.message());
        Check { hint: failure.hint_text().map(str::to_owned), ..check }
    }

    /// What people are shown in the place of the message, a line each: it says what to do as well.
    pub(super) fn shown(mut self, shown: String) -> Self {
        self.shown = Some(shown);
        self
    }

    #[cfg(test)]
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// A problem of the settings, shown as `config check` shows it.
    pub(super) fn problem(subject: impl Into<String>, problem: &Problem) -> Self {
        let (level, head) = match problem.level {
            Severity::Error => (Level::Fail, "error: "),
            Severity::Note => (Level::Note, "note: "),
        };
        let shown = problem.to_string();
        let place = problem.place.as_ref();
        Check {
            hint: problem.hint.clone(),
            at: Some(At {
                file: problem.file.clone(),
                line: place.map(|place| place.line),
                column: place.map(|place| place.column),
            }),
            shown: Some(shown.strip_prefix(head).unwrap_or(&shown).to_owned()),
            ..Check::new(level, Area::Settings, subject, &problem.message)
        }
    }

    /// For people: a line, and beneath it what is the matter and what to do.
    pub(super) fn text(&self) -> String {
        let head = format!("{:<4}  {}", self.level.word(), plain(&self.subject));
        if self.level == Level::Ok {
            return format!("{head}: {}\n", plain(&self.message));
        }
        let mut text = format!("{head}\n");
        match &self.shown {
            Some(shown) => shown.lines().for_each(|line| text += &format!("      {line}\n")),
            None => {
                text += &format!("      {}\n", plain(&self.message));
                let hint = self.hint.iter();
                hint.for_each(|hint| text += &format!("      help: {}\n", plain(hint)));
            }
        }
        text
    }
}

/// All checks of a run. People see each as soon as it is made.
#[derive(Debug)]
pub(super) struct Report {
    checks: Vec<Check>,
    as_json: bool,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Report { checks: Vec::new(), as_json }
    }

    pub(super) fn push(&mut self, check: Check) {
        if !self.as_json {
            print(check.text());
        }
        self.checks.push(check);
    }

    fn count(&self, level: Level) -> u64 {
        self.checks.iter().filter(|check| check.level == level).count() as u64
    }

    /// How the command ends: wrong settings come before everything else.
    pub(super) fn exit(&self) -> Exit {
        let mut failed = self.checks.iter().filter(|check| check.level == Level::Fail).peekable();
        if failed.peek().is_none() {
            Exit::Done
        } else if failed.any(|check| check.area == Area::Settings) {
            Exit::Usage
        } else {
            Exit::Trouble
        }
    }

    fn summary(&self) -> String {
        let [failed, warnings, notes] =
            [Level::Fail, Level::Warn, Level::Note].map(|level| self.count(level));
        let checks = counted(self.checks.len() as u64, "check");
        let mut parts = Vec::new();
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        if warnings > 0 {
            parts.push(counted(warnings, "warning"));
        }
        let head = if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") };
        match notes {
            0 => format!("{head}: {checks}"),
            notes => format!("{head}: {checks}, {}", counted(notes, "note")),
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "checks": self.checks, "ok": self.count(Level::Ok), "notes": self.count(Level::Note),
            "warnings": self.count(Level::Warn), "failed": self.count(Level::Fail),
        })
    }

    /// Sums up, and says how the command ends.
    pub(super) fn end(self) -> Exit {
        if self.as_json {
            print_json(&self.json());
        } else {
            print(format_args!("\n{}\n", self.summary()));
        }
        self.exit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(true);
        let problem = Problem::new(Severity::Error, "sitesync.toml", "there is no key `setle`");
        report.push(Check::problem("sitesync.toml", &problem.help("did you mean `settle`?")));
        report.push(Check::ok(Area::Clock, "clock", "2026-03-31T12:34:56Z"));
        report.push(Check::note(Area::Service, "service", "none").hint("start it"));
        report.push(Check::warn(Area::Sites, "room at nas", "only 3 B free").hint("make room"));
        let said = "the catalog is damaged (a; b); move it away";
        report.push(Check::said(Level::Fail, Area::Catalog, "catalog", said));
        report.push(Check::fail(Area::Sites, "site \u{1b}[31mnas", "a\nb"));
        report
    }

    #[test]
    fn people_get_a_line_each_and_what_to_do() {
        let report = report();
        let text: String = report.checks.iter().map(Check::text).collect();
        insta::assert_snapshot!(format!("{text}\n{}", report.summary()));
    }

    #[test]
    fn programs_get_one_document() {
        let text = serde_json::to_string_pretty(&report().json()).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn wrong_settings_come_before_all_else() {
        let exit = |levels: &[(Level, Area)]| {
            let mut report = Report::new(true);
            for (level, area) in levels {
                report.push(Check::new(*level, *area, "", ""));
            }
            (report.exit(), report.summary())
        };
        let told = |text: &str| text.to_owned();
        assert_eq!(exit(&[(Level::Ok, Area::Clock)]), (Exit::Done, told("all is well: 1 check")));
        assert_eq!(
            exit(&[(Level::Note, Area::State), (Level::Warn, Area::Settings)]),
            (Exit::Done, told("1 warning: 2 checks, 1 note"))
        );
        assert_eq!(
            exit(&[(Level::Fail, Area::Sites), (Level::Warn, Area::Settings)]),
            (Exit::Trouble, told("1 failed, 1 warning: 2 checks"))
        );
        assert_eq!(
            exit(&[(Level::Fail, Area::Sites), (Level::Fail, Area::Settings)]),
            (Exit::Usage, told("2 failed: 2 checks"))
        );
    }
}
