//! What came of a run, for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::Case;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Verdict {
    /// The provider does what the case demands.
    Pass,
    /// It does not; what it did instead.
    Fail(String),
    /// The case demands what this root does not declare; what that is.
    NotApplicable(String),
}

/// One case and what came of it. As JSON: `name`, `group`, `why`, `seconds`, `outcome` (`pass`,
/// `fail`, `not_applicable`) and but for `pass` the `reason`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CaseReport {
    /// The case's name, in snake case.
    pub name: &'static str,
    /// The theme it belongs to: `write`, `list`.
    pub group: &'static str,
    /// Why it matters, a sentence.
    pub why: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl CaseReport {
    pub(super) fn new(case: &Case, verdict: Verdict, seconds: f64) -> Self {
        CaseReport { name: case.name, group: case.group, why: case.why, verdict, seconds }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The provider's id.
    pub provider: String,
    /// The root that it was tried on.
    pub root: String,
    /// What random content was made from; see `Suite::seed`.
    pub seed: u64,
    /// Every case that was chosen, in the order of the run.
    pub cases: Vec<CaseReport>,
    /// True if the run was ended before all of them were tried; see `Suite::stop`.
    pub stopped: bool,
    /// Paths beneath the root that could not be removed again, each with the reason.
    pub left_behind: Vec<String>,
}

impl Report {
    /// True if no case failed, at least one passed, and all that were chosen were tried.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.stopped
            && self.failed().next().is_none()
            && self.count(|verdict| *verdict == Verdict::Pass) > 0
    }

    /// The cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| matches!(case.verdict, Verdict::Fail(_)))
    }

    /// Panics with the readable report unless it [`passed`](Report::passed).
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.passed(), "{} does not keep the contract\n\n{self}", self.provider);
    }

    fn count(&self, which: impl Fn(&Verdict) -> bool) -> usize {
        self.cases.iter().filter(|case| which(&case.verdict)).count()
    }
}

/// Failures first, each with its reason; then every group with its cases; then the sums.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in self.failed() {
            let Verdict::Fail(reason) = &case.verdict else { continue };
            writeln!(f, "FAILED {}: {}", case.group, case.name)?;
            writeln!(f, "    {reason}")?;
            writeln!(f, "    Why it matters: {}\n", case.why)?;
        }
        let mut group = "";
        for case in &self.cases {
            if case.group != group {
                group = case.group;
                writeln!(f, "{group}")?;
            }
            match &case.verdict {
                Verdict::Pass => writeln!(f, "  pass  {} ({:.2} s)", case.name, case.seconds)?,
                Verdict::Fail(_) => writeln!(f, "  FAIL  {} ({:.2} s)", case.name, case.seconds)?,
                Verdict::NotApplicable(reason) => writeln!(f, "  n/a   {}: {reason}", case.name)?,
            }
        }
        if !self.left_behind.is_empty() {
            writeln!(f, "\nCould not be removed from {}; remove it by hand:", self.root)?;
            for path in &self.left_behind {
                writeln!(f, "  {path}")?;
            }
        }
        let seconds: f64 = self.cases.iter().map(|case| case.seconds).sum();
        write!(
            f,
            "\n{} on {}: {} passed, {} failed, {} not applicable, in {seconds:.1} s (seed {})",
            self.provider,
            self.root,
            self.count(|verdict| *verdict == Verdict::Pass),
            self.failed().count(),
            self.count(|verdict| matches!(verdict, Verdict::NotApplicable(_))),
            self.seed,
        )
    }
}
