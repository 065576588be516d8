//! What was measured, as Markdown.

use std::fmt::Write;
use std::fs;
use std::thread;

use anyhow::Result;

use super::catalog::Measured;
use super::data::{Data, grouped};
use super::drive::Runs;
use super::medium::Medium;
use super::peer::{Peer, Peers};

/// Resident memory that a million files may take.
const MEMORY_GOAL: f64 = 150e6;

/// The slowest run takes at most so many times as long as the fastest, on a quiet machine.
const STEADY: f64 = 1.5;

/// The times of one peer in one case.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) peer: Peer,
    pub(super) seconds: Vec<f64>,
}

impl Samples {
    pub(super) fn new(peer: Peer) -> Self {
        Samples { peer, seconds: Vec::new() }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn is_unsteady(&self) -> bool {
        let sorted = self.sorted();
        sorted[sorted.len() - 1] > sorted[0] * STEADY
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        }
    }
}

/// What a number of the catalog is held to.
#[derive(Debug, Clone, Copy)]
enum CatalogGoal {
    AtLeast(f64),
    LessThan(f64),
}

/// The text so far.
#[derive(Debug)]
pub(super) struct Report {
    head: String,
    notes: Vec<String>,
    sections: String,
    goals: String,
}

impl Report {
    /// Begins with what the numbers depend on.
    pub(super) fn new(peers: &Peers, runs: usize) -> Self {
        let processors = thread::available_parallelism().map_or(0, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut head = format!(
            "# Benchmarks\n\n\
             {processors} processors, Linux {}. Medians of {runs} interleaved runs; peers' times \
             of copying include `sync -f`. Printed by `cargo xtask bench`.\n\n",
            kernel.trim()
        );
        for version in peers.versions() {
            head.push_str(&format!("- {version}\n"));
        }
        let mut report =
            Report { head, notes: Vec::new(), sections: String::new(), goals: String::new() };
        if runs < 5 {
            report.note(format!("{runs} runs prove little: take at least 5"));
        }
        report
    }

    /// Adds what the reader must know.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("note: {text}");
        self.notes.push(text);
    }

    /// Adds a case with the times of all, and its goals: ours at most so many times a peer's time.
    pub(super) fn times(
        &mut self,
        medium: &Medium,
        what: &str,
        data: Data,
        samples: &[Samples],
        own: Peer,
        goals: &[(Peer, f64)],
    ) {
        let title = format!("{}, {what}, {}", data.describe(), medium.label);
        let us = own.name();
        let Some(own) = samples.iter().find(|samples| samples.peer == own) else { return };
        let ours = own.median();
        let mut table = format!(
            "\n## {title}\n\n\
             | | median, s | fastest, s | slowest, s | {us} / this |\n\
             |---|---:|---:|---:|---:|\n"
        );
        for samples in samples {
            let (sorted, median) = (samples.sorted(), samples.median());
            let (name, ratio) = (samples.peer.name(), ours / median);
            let (fastest, slowest) = (sorted[0], sorted[sorted.len() - 1]);
            let _ = writeln!(
                table,
                "| {name} | {median:.3} | {fastest:.3} | {slowest:.3} | {ratio:.2} |"
            );
        }
        self.sections.push_str(&table);
        for (peer, limit) in goals {
            let name = peer.name();
            let goal = format!("<= {limit:.2} x {name}");
            let Some(theirs) = samples.iter().find(|samples| samples.peer == *peer) else {
                let _ = writeln!(self.goals, "| {title} | {goal} | - | no {name} here |");
                continue;
            };
            if own.is_unsteady() || theirs.is_unsteady() {
                self.note(format!(
                    "{title}: runs of {us} or {name} differ by more than {STEADY:.1} x, so \
                     their ratio proves little"
                ));
            }
            let ratio = ours / theirs.median();
            self.goal(&title, &goal, &format!("{ratio:.2}"), ratio, *limit);
        }
    }

    /// Adds some work with Drive. Goals: ours at most so many times rclone's time; at least four
    /// fifths of the requests in a second that are allowed, none of them refused.
    pub(super) fn drive(
        &mut self,
        title: &str,
        peers: &[Runs],
        goal: Option<f64>,
        allowed: Option<f64>,
    ) {
        let _ = write!(
            self.sections,
            "\n## {title}\n\n\
             | | median, s | fastest, s | slowest, s | requests | requests/s | refused |\n\
             |---|---:|---:|---:|---:|---:|---:|\n"
        );
        for Runs { times, requests, refused } in peers {
            let (name, sorted, median) = (times.peer.name(), times.sorted(), times.median());
            let (fastest, slowest) = (sorted[0], sorted[sorted.len() - 1]);
            let rate = *requests as f64 / median;
            let _ = writeln!(
                self.sections,
                "| {name} | {median:.2} | {fastest:.2} | {slowest:.2} | {requests} | {rate:.0} | \
                 {refused} |"
            );
        }
        let of = |peer| peers.iter().find(|runs| runs.times.peer == peer);
        let Some(ours) = of(Peer::Ours) else { return };
        if let (Some(limit), Some(theirs)) = (goal, of(Peer::Rclone)) {
            let ratio = ours.times.median() / theirs.times.median();
            let goal = format!("<= {limit:.2} x {}", Peer::Rclone.name());
            self.goal(title, &goal, &format!("{ratio:.2}"), ratio, limit);
        }
        if let Some(allowed) = allowed {
            // What is left of the allowance, so that less is better.
            let unused = 1.0 - ours.requests as f64 / ours.times.median() / allowed;
            let shown = format!("{:.0} %", unused * 100.0);
            self.goal(title, "<= 20 % unused", &shown, unused.max(0.0), 0.2);
            let refused = ours.refused as f64;
            self.goal(title, "0 refused", &ours.refused.to_string(), refused, 0.0);
        }
    }

    /// Adds what a sync of so many files takes: bytes.
    pub(super) fn memory(&mut self, medium: &Medium, peaks: &[(Data, u64)]) {
        let title = format!("Memory of one sync, {}", medium.label);
        let _ = write!(self.sections, "\n## {title}\n\n| files | peak, MB |\n|---:|---:|\n");
        let points: Vec<(f64, f64)> =
            peaks.iter().map(|(data, peak)| (data.files() as f64, *peak as f64)).collect();
        for (data, peak) in peaks {
            let (files, megabytes) = (grouped(data.files()), *peak as f64 / 1e6);
            let _ = writeln!(self.sections, "| {files} | {megabytes:.1} |");
        }
        let [(few, low), .., (many, high)] = points[..] else { return };
        if many <= few {
            return;
        }
        let growth = (high - low) / (many - few);
        let _ = writeln!(self.sections, "\n{growth:.0} bytes for each further file.");
        let million = high.max(high + growth * (1e6 - many));
        self.goal(
            &format!("{title}, 1,000,000 files (extrapolated)"),
            "<= 150 MB",
            &format!("{:.0} MB", million / 1e6),
            million,
            MEMORY_GOAL,
        );
    }

    /// Adds what a catalog costs: the medians of several runs.
    pub(super) fn catalog(&mut self, medium: &Medium, runs: &[Measured]) -> Result<()> {
        let Some(first) = runs.first() else { return Ok(()) };
        let title = format!("A catalog of {} files, {}", grouped(first.files), medium.label);
        let _ = write!(self.sections, "\n## {title}\n\n| | median |\n|---|---:|\n");
        for (what, name, goal) in [
            ("published, files/s", "publish_files_per_second", CatalogGoal::AtLeast(20_000.0)),
            ("counts of `status`, ms", "counts", CatalogGoal::LessThan(100.0)),
            ("first page of the queue, ms", "queue", CatalogGoal::LessThan(50.0)),
            (
                "by representation, all queued, ms",
                "representation_queue",
                CatalogGoal::LessThan(50.0),
            ),
            (
                "by representation, one that is rare, ms",
                "representation_queue_rare",
                CatalogGoal::LessThan(50.0),
            ),
            ("an idle round of a pair, ms", "idle_round", CatalogGoal::LessThan(5.0)),
            ("latest versions of a shot, ms", "latest_of_a_folder", CatalogGoal::LessThan(50.0)),
            ("resident, bytes", "resident_bytes", CatalogGoal::LessThan(MEMORY_GOAL)),
        ] {
            let mut values =
                runs.iter().map(|run| run.number(name)).collect::<Result<Vec<f64>>>()?;
            values.sort_by(f64::total_cmp);
            let median = values[values.len() / 2];
            let shown = if median < 1e3 { format!("{median:.1}") } else { grouped(median as u64) };
            let _ = writeln!(self.sections, "| {what} | {shown} |");
            let (goal, part) = match goal {
                CatalogGoal::AtLeast(least) => {
                    (format!(">= {}", grouped(least as u64)), least / median)
                }
                CatalogGoal::LessThan(most) => {
                    (format!("< {}", grouped(most as u64)), median / most)
                }
            };
            self.goal(&format!("{title}: {what}"), &goal, &shown, part, 1.0);
        }
        Ok(())
    }

    /// Adds how long it takes to load a plug-in for the first time, and again: milliseconds.
    pub(super) fn loading(&mut self, medium: &Medium, times: [&Samples; 2], goals: [f64; 2]) {
        let title = format!("Loading a plug-in, {}", medium.label);
        let _ = write!(
            self.sections,
            "\n## {title}\n\n| | median, ms | slowest, ms |\n|---|---:|---:|\n"
        );
        for ((what, samples), goal) in ["first", "again"].into_iter().zip(times).zip(goals) {
            let (median, sorted) = (samples.median(), samples.sorted());
            let _ = writeln!(
                self.sections,
                "| {what} | {median:.1} | {:.1} |",
                sorted[sorted.len() - 1]
            );
            let work = format!("{title}, {what}");
            self.goal(&work, &format!("< {goal:.0} ms"), &format!("{median:.1} ms"), median, goal);
        }
    }

    fn goal(&mut self, work: &str, goal: &str, shown: &str, measured: f64, limit: f64) {
        let verdict = verdict(measured, limit);
        let _ = writeln!(self.goals, "| {work} | {goal} | {shown} | {verdict} |");
    }

    /// The whole report.
    pub(super) fn markdown(&self) -> String {
        let mut text = self.head.clone();
        if !self.notes.is_empty() {
            text.push_str("\nNotes:\n");
            for note in &self.notes {
                text.push_str(&format!("- {note}\n"));
            }
        }
        if !self.goals.is_empty() {
            text.push_str("\n## Goals\n\n| work | goal | measured | |\n|---|---|---:|---|\n");
            text.push_str(&self.goals);
        }
        text.push_str(&self.sections);
        text
    }
}

/// Says whether a number is within its limit, and by how much.
fn verdict(measured: f64, limit: f64) -> String {
    if limit == 0.0 {
        return if measured <= 0.0 { "met" } else { "missed" }.to_owned();
    }
    let percent = (measured / limit - 1.0).abs() * 100.0;
    if measured <= limit {
        format!("met, {percent:.0} % below")
    } else {
        format!("missed by {percent:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_depend_on_the_order() {
        for (seconds, median) in
            [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 3.0, 2.0], 2.5), (vec![7.0], 7.0)]
        {
            assert_eq!(Samples { peer: Peer::Ours, seconds }.median(), median);
        }
    }

    #[test]
    fn verdicts_say_by_how_much() {
        assert_eq!(verdict(0.6, 0.8), "met, 25 % below");
        assert_eq!(verdict(1.0, 0.8), "missed by 25 %");
        assert_eq!(verdict(0.8, 0.8), "met, 0 % below");
    }
}
