//! What is measured, and in which order.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::boundary::{Boundary, Work};
use super::catalog::Catalog;
use super::data::{self, Data};
use super::medium::Medium;
use super::peer::{DESTINATION, OURS_AT_SOURCE, Peer, Peers, SOURCE, STATE};
use super::report::{Report, Samples};
use super::{Case, On, drive};
use crate::digest;
use crate::process::doing;
use crate::random::Contents;
use crate::workspace::Workspace;

/// A peak of memory hardly varies: so many runs are enough.
const MEMORY_RUNS: usize = 3;

/// A catalog is filled by a million steps, and its pages are medians: so many are enough.
const CATALOG_RUNS: usize = 3;

/// One medium, and all that measuring needs.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) medium: Medium,
    pub(super) peers: &'a Peers,
    pub(super) contents: &'a Contents,
    pub(super) through: &'a Boundary,
    pub(super) catalog: &'a Catalog,
    pub(super) runs: usize,
    pub(super) workspace: &'a Workspace,
}

impl Bench<'_> {
    /// Measures a case and adds it to the report.
    pub(super) fn run(
        &self,
        case: Case,
        scale: f64,
        idle_files: Option<u64>,
        report: &mut Report,
    ) -> Result<()> {
        let scaled = |amount: u64| ((amount as f64 * scale) as u64).max(1);
        match case {
            Case::Small => self.copying(case, Data::Small(scaled(20_000)), report),
            Case::Seq => self.copying(case, Data::Seq(scaled(200)), report),
            Case::Big => self.copying(case, Data::Big(scaled(4 << 30)), report),
            Case::Idle => {
                self.idle(Data::Tiny(idle_files.unwrap_or_else(|| scaled(20_000))), report)
            }
            Case::Boundary => {
                self.boundary(Data::Small(scaled(20_000)), Work::Copy, 1.1, report)?;
                self.boundary(Data::Small(scaled(20_000)), Work::Stream, 1.1, report)?;
                self.boundary(Data::Big(scaled(1 << 30)), Work::Stream, 1.0 / 0.9, report)?;
                self.loading(report)
            }
            Case::Drive => drive::run(self.workspace, self.runs, scale, report),
            Case::Memory => self.memory([20_000, 200_000].map(scaled), report),
            Case::Catalog => self.catalog(scaled(1_000_000), report),
        }
        .with_context(|| format!("case {case:?} on {}", self.medium.label))
    }

    fn copying(&self, case: Case, wanted: Data, report: &mut Report) -> Result<()> {
        let data = self.source(wanted, 3, report)?;
        let peers = self.peers.present(&[Peer::Ours, Peer::Cp, Peer::Rsync, Peer::Rclone]);
        let samples = self.rounds(&peers, |peer, round| {
            self.fresh(peer)?;
            let seconds = self.peers.copy(peer, &self.medium, data.files())?;
            if round == 0 {
                let copied = digest::files(&self.medium.path(DESTINATION))?.len() as u64;
                ensure!(copied == data.files(), "{} copied {copied} files", peer.name());
            }
            Ok(seconds)
        })?;
        self.clear()?;
        let goals: &[(Peer, f64)] = match case {
            Case::Small if self.medium.on == On::Tmpfs => {
                &[(Peer::Cp, 0.8), (Peer::Rclone, 1.0 / 3.0)]
            }
            Case::Small | Case::Seq => &[(Peer::Cp, 0.8)],
            _ => &[(Peer::Cp, 1.0)],
        };
        report.times(&self.medium, "copied", data, &samples, Peer::Ours, goals);
        Ok(())
    }

    /// Over one pair of up-to-date folders, the same for all.
    fn idle(&self, wanted: Data, report: &mut Report) -> Result<()> {
        let data = self.source(wanted, 2, report)?;
        self.fresh(Peer::Ours)?;
        self.peers.copy(Peer::Ours, &self.medium, data.files())?;
        let peers = self.peers.present(&[Peer::Ours, Peer::Find, Peer::Rsync, Peer::Rclone]);
        // The first time each takes over what the one before has left: modes and times of folders.
        for peer in &peers {
            self.peers.idle(*peer, &self.medium)?;
        }
        self.medium.settle()?;
        let samples = self.rounds(&peers, |peer, _| self.peers.idle(peer, &self.medium))?;
        self.clear()?;
        let goals = [(Peer::Find, 2.0), (Peer::Rsync, 1.0)];
        report.times(&self.medium, "nothing to do", data, &samples, Peer::Ours, &goals);
        Ok(())
    }

    /// The same provider code as plug-ins and called directly.
    fn boundary(&self, wanted: Data, work: Work, goal: f64, report: &mut Report) -> Result<()> {
        let data = self.source(wanted, 2, report)?;
        self.through.prepare(&self.medium)?;
        let samples = self.rounds(&[Peer::Plugins, Peer::Direct], |peer, round| {
            self.fresh(peer)?;
            let seconds = self.through.carry(peer, work, &self.medium)?;
            if round == 0 {
                let copied = digest::files(&self.medium.path(DESTINATION))?.len() as u64;
                ensure!(copied == data.files(), "{} copied {copied} files", peer.name());
            }
            Ok(seconds)
        })?;
        self.clear()?;
        let goals = [(Peer::Direct, goal)];
        report.times(&self.medium, work.name(), data, &samples, Peer::Plugins, &goals);
        Ok(())
    }

    fn loading(&self, report: &mut Report) -> Result<()> {
        self.through.prepare(&self.medium)?;
        let mut times = [Samples::new(Peer::Plugins), Samples::new(Peer::Plugins)];
        for _ in 0..self.runs {
            let taken = self.through.load(&self.medium)?;
            times.iter_mut().zip(taken).for_each(|(samples, ms)| samples.seconds.push(ms));
        }
        report.loading(&self.medium, [&times[0], &times[1]], [150.0, 50.0]);
        Ok(())
    }

    fn memory(&self, counts: [u64; 2], report: &mut Report) -> Result<()> {
        let mut peaks = Vec::new();
        for count in counts {
            let data = self.source(Data::Tiny(count), 2, report)?;
            let mut seen = Vec::new();
            for _ in 0..self.runs.min(MEMORY_RUNS) {
                self.fresh(Peer::Ours)?;
                seen.push(self.peers.memory(&self.medium, data.files())?);
            }
            seen.sort_unstable();
            peaks.push((data, seen[seen.len() / 2]));
            self.clear()?;
        }
        report.memory(&self.medium, &peaks);
        Ok(())
    }

    fn catalog(&self, files: u64, report: &mut Report) -> Result<()> {
        eprintln!("== a catalog of {files} files on {}", self.medium.label);
        let measured = (0..self.runs.min(CATALOG_RUNS))
            .map(|_| self.catalog.measure(&self.medium, files))
            .collect::<Result<Vec<_>>>()?;
        report.catalog(&self.medium, &measured)
    }

    /// Takes every peer once a round; each round begins with another one.
    fn rounds(
        &self,
        peers: &[Peer],
        mut measure: impl FnMut(Peer, usize) -> Result<f64>,
    ) -> Result<Vec<Samples>> {
        let mut samples: Vec<Samples> = peers.iter().map(|peer| Samples::new(*peer)).collect();
        for round in 0..self.runs {
            for turn in 0..peers.len() {
                let at = (round + turn) % peers.len();
                let seconds = measure(peers[at], round)
                    .with_context(|| format!("{}, round {}", peers[at].name(), round + 1))?;
                eprintln!("{:>12} {seconds:9.3} s  {}", peers[at].name(), self.medium.label);
                samples[at].seconds.push(seconds);
            }
        }
        Ok(samples)
    }

    /// Writes the source, or as much of it as fits `copies` times; it is in the page cache then.
    fn source(&self, wanted: Data, copies: u64, report: &mut Report) -> Result<Data> {
        self.clear()?;
        let data = wanted.within(self.medium.room()? / copies);
        if data != wanted {
            let (wanted, data) = (wanted.describe(), data.describe());
            report.note(format!("{}: {wanted} do not fit: {data}", self.medium.label));
        }
        eprintln!("== {} on {}", data.describe(), self.medium.label);
        let source = self.medium.path(SOURCE);
        fs::create_dir_all(&source).with_context(doing("make", &source))?;
        data.write(&source, self.contents)?;
        data::warm(&source, &digest::files(&source)?)?;
        Ok(data)
    }

    /// Removes what the run before has made, and waits until the medium has nothing left to do.
    fn fresh(&self, peer: Peer) -> Result<()> {
        self.medium.clear(&[DESTINATION, STATE, OURS_AT_SOURCE])?;
        if peer == Peer::Ours {
            self.peers.prepare_ours(&self.medium)?;
        }
        self.medium.settle()
    }

    fn clear(&self) -> Result<()> {
        self.medium.clear(&[SOURCE, DESTINATION, STATE])
    }
}
