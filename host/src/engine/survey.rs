//! Looking at both ends: what is found is planned as it comes, and what is missing is confirmed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use sitesync_provider::{ErrorKind, Kind, join};
use tokio::sync::mpsc;

use super::barriers::Failure;
use super::discover::{self, Discovered, Folder};
use super::pair::{Pair, RootPair, Side};
use super::place;
use super::plan::{self, Load, Missing, Planner};
use super::progress::Progress;
use super::recorded::{Keys, Look};
use super::rewrite::{self, is_doubtful, rewrite};
use super::run::{End, Run};
use super::schedule::Mode;
use crate::catalog::{FolderId, Have};
use crate::sites::Capability;

/// What a survey of a root came to.
#[derive(Debug)]
pub(super) struct Seen {
    /// All of it could be listed.
    pub whole: bool,
    /// Folders that are to be looked at again: work on something in them is under way.
    pub again: BTreeSet<String>,
}

impl Run {
    /// Looks at the ends: once, or again and again.
    pub(super) async fn watch(&self) -> Result<(), End> {
        let result = self.watch_on().await;
        self.surveyed.store(true, Ordering::Release);
        self.planned.notify_one();
        result
    }

    async fn watch_on(&self) -> Result<(), End> {
        if self.mode == Mode::Once {
            return self.survey_on().await;
        }
        let hints = async {
            let led = |side| async move {
                if self.pair.leads(side) { self.follow_hints(side).await } else { Ok(()) }
            };
            tokio::try_join!(led(Side::Active), led(Side::Remote))?;
            std::future::pending().await
        };
        tokio::select! {
            ended = self.survey_on() => ended,
            ended = hints => ended,
        }
    }

    async fn survey_on(&self) -> Result<(), End> {
        let mut stop = self.engine.stop.clone();
        let mut due = [Instant::now(); 2];
        // What an earlier life held back, and did not count any more.
        self.let_go().await?;
        loop {
            let [active, remote] = [(Side::Active, 0), (Side::Remote, 1)].map(|(side, at)| {
                let scan = self.looks_each_time(side) || Instant::now() >= due[at];
                if scan {
                    due[at] = Instant::now() + self.pair.settings.rescan;
                }
                scan
            });
            tokio::try_join!(
                self.survey_side(Side::Active, active),
                self.survey_side(Side::Remote, remote)
            )?;
            self.let_go().await?;
            if self.mode == Mode::Once {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(self.pair.settings.loop_delay) => {}
                _ = stop.wait_for(|stopped| *stopped) => return Ok(()),
            }
        }
    }

    /// Where people work is looked at each time, by the pair that leads there; while that is offline,
    /// by the next one, so that its trouble is not theirs.
    fn looks_each_time(&self, side: Side) -> bool {
        let Pair { settings, .. } = &*self.pair;
        let site = &settings.active_site;
        let (mut pairs, offline) = (settings.pairs.iter(), &self.engine.offline);
        let works = |pair: &&[String; 2]| pair.contains(site) && !offline.is(&settings.name, pair);
        let ends = Side::BOTH.map(|side| self.pair.site_name(side));
        self.pair.is_active(side) && pairs.find(works).is_some_and(|pair| *pair == ends)
    }

    /// Scans the roots of a side, if that is due. Feeds are followed either way.
    async fn survey_side(&self, side: Side, scan: bool) -> Result<(), End> {
        let roots = self.pair.roots();
        let leads = self.pair.leads(side);
        let feeds = |root: &Arc<RootPair>| leads && root.end(side).can(Capability::Feed);
        let (fed, scanned): (Vec<_>, Vec<_>) = roots.into_iter().partition(feeds);
        let look = self.engine.recorded.look(self.pair.site(side));
        if !fed.is_empty() {
            let _turn = self.surveys.acquire().await;
            self.follow(&fed, side, scan, &look).await?;
        }
        for root in scanned {
            if scan {
                let _turn = self.surveys.acquire().await;
                self.survey(&root, side, &look).await?;
            } else if let Err(error) = root.still_there(side).await {
                // Nobody may ask anything of it for long: who looks at the site is told now.
                if error.kind() == ErrorKind::RootUnavailable {
                    return Err(self.fault(side, &error));
                }
                tracing::debug!(%error, "not known whether a root is still there");
            }
        }
        Ok(())
    }

    /// One scan of one root, planned as it goes.
    pub(super) async fn survey(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        look: &Look,
    ) -> Result<Seen, End> {
        self.survey_with(root, side, look, &mut |_| Ok(())).await
    }

    /// Likewise; `see` is shown everything that is found before it is planned.
    pub(super) async fn survey_with(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        look: &Look,
        see: &mut (dyn FnMut(&Discovered) -> Result<(), End> + Send),
    ) -> Result<Seen, End> {
        root.still_there(side).await.map_err(|error| self.fault(side, &error))?;
        let (to_plan, mut found) = mpsc::channel::<Discovered>(8);
        let progress = &self.engine.progress;
        let scanning = async {
            let to_plan = to_plan;
            discover::scan(&self.pair, root, side, progress, &to_plan).await
        };
        let mut seen = Keys::default();
        let planning = async {
            let mut again = BTreeSet::new();
            while let Some(discovered) = found.recv().await {
                see(&discovered)?;
                again.append(&mut self.plan(discovered, look, &mut seen).await?);
            }
            Ok::<_, End>(again)
        };
        let (scanned, planned) = tokio::join!(scanning, planning);
        let mut again = planned?;
        let scanned = scanned.map_err(|error| self.fault(side, &error))?;
        let whole = scanned.is_whole();

        // Folders that the catalog knows and the scan did not meet.
        let mut after = FolderId(0);
        loop {
            let page = self.engine.catalog.read(|view| view.folders(root.id, after, 1000))?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let folders: Vec<Folder> = page
                .into_iter()
                .filter(|(id, path)| !seen.contains(id.0) && scanned.covers(path))
                .map(|(_, path)| Folder::gone(path))
                .collect();
            if !folders.is_empty() {
                let gone = Discovered { root: root.clone(), side, folders };
                see(&gone)?;
                again.append(&mut self.plan(gone, look, &mut Keys::default()).await?);
            }
        }
        let (id, site) = (root.id, self.pair.site(side));
        if whole && !self.engine.catalog.read(|view| view.is_scanned(id, site))? {
            self.believe(root, side).await?;
            self.engine.catalog.write(move |unit| unit.put_scanned(id, site)).await?;
        }
        Ok(Seen { whole, again })
    }

    /// Plans what was found, and confirms what is missing. Returns the folders that are to be looked
    /// at again.
    pub(super) async fn plan(
        &self,
        found: Discovered,
        look: &Look,
        seen: &mut Keys,
    ) -> Result<BTreeSet<String>, End> {
        let Discovered { root, side, folders } = found;
        let moment = self.moment();
        let pair = &self.pair;
        // Most folders hold nothing new: that costs reads only, beside the writer.
        let mut missing = Vec::new();
        let mut again = BTreeSet::new();
        let mut news = Vec::new();
        tokio::task::block_in_place(|| {
            self.engine.catalog.read(|view| {
                for folder in folders {
                    let planner =
                        Planner { pair, root: &root, side, folder: &folder, moment, look };
                    let plan = planner.decide(view)?;
                    if let Some(id) = plan.id {
                        seen.insert(id.0);
                    }
                    if plan.again {
                        again.insert(folder.path.clone());
                    }
                    if plan.is_empty() {
                        missing.extend(plan.missing);
                    } else {
                        news.push(folder);
                    }
                }
                Ok(())
            })
        })?;
        if !news.is_empty() {
            let (pair, look) = (self.pair.clone(), look.clone());
            let there = root.clone();
            let (ids, more_missing, mut left, load) = self
                .engine
                .catalog
                .write(move |unit| {
                    let root = &there;
                    let (mut ids, mut missing, mut again) = (vec![], vec![], BTreeSet::new());
                    let mut load = Load::default();
                    for folder in news {
                        let (pair, look, folder) = (&pair, &look, &folder);
                        let planner = Planner { pair, root, side, folder, moment, look };
                        let mut plan = planner.decide(unit)?;
                        missing.append(&mut plan.missing);
                        if plan.again {
                            again.insert(folder.path.clone());
                        }
                        ids.push(planner.apply(unit, plan, &mut load)?);
                    }
                    Ok((ids, missing, again, load))
                })
                .await?;
            ids.into_iter().for_each(|id| seen.insert(id.0));
            missing.extend(more_missing);
            again.append(&mut left);
            Progress::add(&self.engine.progress.planned_files, load.files);
            Progress::add(&self.engine.progress.planned_bytes, load.bytes);
            self.planned.notify_one();
        }
        again.append(&mut self.confirm(&root, side, missing, look).await?);
        Ok(again)
    }

    /// A file that a listing does not name is gone only if the root is still the one that was
    /// opened, and `stat` says so too. Returns the folders that are to be looked at again.
    async fn confirm(
        &self,
        root: &Arc<RootPair>,
        side: Side,
        missing: Vec<Missing>,
        look: &Look,
    ) -> Result<BTreeSet<String>, End> {
        let mut again = BTreeSet::new();
        if missing.is_empty() {
            return Ok(again);
        }
        root.still_there(side).await.map_err(|error| self.fault(side, &error))?;
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        let asked = place::for_each(missing, |file| {
            let end = root.end(side).clone();
            async move { (end.stat(&join(&file.folder, &file.name)).await, file) }
        });
        for (answer, file) in asked.await? {
            match answer {
                Err(error) if error.kind() == ErrorKind::NotFound => gone.push(file),
                Err(error) => {
                    tracing::debug!(%error, name = file.name, "absence not confirmed");
                    again.insert(file.folder);
                }
                // What no listing is to name is left as it is, however often it is looked at.
                Ok(_) if self.pair.settings.excludes(&file.name) => {}
                // A link or a folder has its name now.
                Ok(seen) if seen.kind != Kind::File => {
                    gone.push(Missing { replaced: true, ..file });
                }
                Ok(_) => {
                    again.insert(file.folder);
                }
            }
        }
        if !gone.is_empty() {
            // It may have gone while it was asked.
            root.still_there(side).await.map_err(|error| self.fault(side, &error))?;
            // What the other end has may be all that is left, and not durable yet.
            let (other, asked) = (side.other(), Instant::now());
            let there = self.pair.site(other);
            for file in &gone {
                let (folder, name) = (&file.folder, &file.name);
                let row = self.engine.catalog.read(|view| view.file(root.id, folder, name))?;
                let Some(row) = row else { continue };
                look.note(row.id);
                let doubtful = |have: &&Have| have.site == there && is_doubtful(have);
                let Some(known) = row.haves.iter().find(doubtful) else { continue };
                let path = join(folder, name);
                let made =
                    rewrite(&self.engine.barriers, &self.pair, root.end(other), &path, known).await;
                if let Some(made) = made.map_err(|error| self.fault(other, &error))? {
                    self.engine.recorded.note(row.id);
                    left.push((row.id, known.clone(), made));
                }
            }
            let failure = self.engine.barriers.flush(root.end(other)).await;
            if let Some(Failure { error, .. }) = failure.filter(|failure| failure.at >= asked) {
                return Err(self.fault(other, &error));
            }
        }
        let (pair, moment, root) = (self.pair.clone(), self.moment(), root.clone());
        let noted = self.engine.catalog.write(move |unit| {
            let mut again = BTreeSet::new();
            for (file, known, made) in &left {
                rewrite::note(unit, *file, known, made)?;
            }
            for file in gone {
                if !plan::gone(unit, &pair, &root, side, &file, moment)? {
                    again.insert(file.folder);
                }
            }
            Ok(again)
        });
        again.append(&mut noted.await?);
        self.planned.notify_one();
        Ok(again)
    }
}
