//! Writes about representations: which there are, which files they have, and what is wanted of
//! them.

use std::collections::HashMap;

use rusqlite::OptionalExtension;

use super::tally::Bucket;
use super::work::{Facts, Work, unknown};
use super::{Error, FileId, ProjectId, Representation, RepresentationId, Result, SiteId};
use crate::publish::Naming;

/// So many representations are remembered by name; publishing and scanning ask for the same one
/// for each of its files.
const REMEMBERED: usize = 1024;

/// Representations by name, that were asked for lately.
pub(super) type Remembered = HashMap<ProjectId, HashMap<Naming, Representation>>;

impl Work<'_> {
    pub(super) fn put_named(
        &mut self,
        project: ProjectId,
        naming: &Naming,
        made: (i64, i64, &str, bool),
    ) -> Result<RepresentationId> {
        let (priority, made_at, made_by, published) = made;
        let news = |of: &Representation| {
            let same_maker = made_by.is_empty() || made_by == of.made_by;
            let same = (of.priority, of.made_at, of.published) == (priority, made_at, true);
            published && !(same && same_maker)
        };
        let remembered = self.memory.remembered.get(&project).and_then(|known| known.get(naming));
        if let Some(known) = remembered.filter(|known| !news(known)) {
            return Ok(known.id);
        }
        let stored = match self.view().representation_named(project, naming)? {
            Some(id) => self.view().representation_of(id)?,
            None => None,
        };
        let now = match stored {
            Some(stored) if !news(&stored) => stored,
            Some(stored) => {
                let known = Some(stored.made_by).filter(|_| made_by.is_empty());
                let made_by = known.unwrap_or_else(|| made_by.to_owned());
                let now = Representation { priority, made_at, made_by, published, ..stored };
                self.publish_again(&now)?;
                now
            }
            None => {
                let new = Representation {
                    id: RepresentationId(self.memory.next_representation),
                    naming: naming.clone(),
                    priority,
                    made_at,
                    made_by: made_by.to_owned(),
                    published,
                };
                self.make(project, &new)?;
                new
            }
        };
        let id = now.id;
        if self.memory.remembered.values().map(HashMap::len).sum::<usize>() >= REMEMBERED {
            self.memory.remembered.clear();
        }
        self.memory.remembered.entry(project).or_default().insert(naming.clone(), now);
        Ok(id)
    }

    fn publish_again(&mut self, now: &Representation) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE representation
                 SET priority = ?2, made_at = ?3, made_by = ?4, published = ?5 WHERE id = ?1",
            )?
            .execute((now.id, now.priority, now.made_at, &now.made_by, now.published))?;
        Ok(())
    }

    fn make(&mut self, project: ProjectId, new: &Representation) -> Result<()> {
        if new.naming.to_string().parse().as_ref() != Ok(&new.naming) {
            return Err(Error::Invalid(format!("'{}' names no representation", new.naming)));
        }
        let mut find = self.conn.prepare_cached("SELECT 1 FROM project WHERE id = ?1")?;
        if !find.exists([project])? {
            return Err(unknown("project", project.0));
        }
        let Naming { folder, product, version, name } = &new.naming;
        self.conn
            .prepare_cached(
                "INSERT INTO representation (id, project, folder, product, version, name,
                                             priority, made_at, made_by, published)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute((
                new.id,
                project,
                folder,
                product,
                version,
                name,
                new.priority,
                new.made_at,
                &new.made_by,
                new.published,
            ))?;
        self.memory.next_representation += 1;
        Ok(())
    }

    pub(super) fn regroup(&mut self, file: FileId, to: RepresentationId) -> Result<()> {
        let before = self.facts(file)?;
        if before.representation == to {
            return Ok(());
        }
        self.same_project(before, to)?;
        let after = Facts { representation: to, ..before };
        self.conn
            .prepare_cached("UPDATE file SET representation = ?2 WHERE id = ?1")?
            .execute((file, to))?;
        self.conn
            .prepare_cached(
                "UPDATE want SET representation = ?3 WHERE representation = ?1 AND file = ?2",
            )?
            .execute((before.representation, file, to))?;
        self.memory.unit.know(before.representation, -1, -before.size);
        self.memory.unit.know(to, 1, after.size);
        self.recount_file(file, before, after)?;
        self.obey_pauses_of_file(to, file)?;
        self.remove_if_empty(before.representation)
    }

    /// Refuses a representation of another project than the file's.
    pub(super) fn same_project(&mut self, file: Facts, of: RepresentationId) -> Result<()> {
        if self.project_of_representation(of)? == self.project_of(file.root)? {
            return Ok(());
        }
        Err(Error::Invalid(format!("representation {} is another project's than the file", of.0)))
    }

    /// Removes a representation that has no file, with all that was said of it.
    pub(super) fn remove_if_empty(&mut self, representation: RepresentationId) -> Result<()> {
        let removed = self
            .conn
            .prepare_cached(
                "DELETE FROM representation WHERE id = ?1 AND NOT EXISTS (
                     SELECT 1 FROM file INDEXED BY file_of_representation
                     WHERE representation = ?1)",
            )?
            .execute([representation])?;
        if removed == 0 {
            return Ok(());
        }
        self.conn
            .prepare_cached("DELETE FROM want WHERE representation = ?1")?
            .execute([representation])?;
        if self.paused()?.iter().any(|(of, _)| *of == representation) {
            self.conn
                .prepare_cached("DELETE FROM pause WHERE representation = ?1")?
                .execute([representation])?;
            self.memory.paused = None;
        }
        self.memory.representation = None;
        self.forget_name(representation);
        Ok(())
    }

    fn forget_name(&mut self, representation: RepresentationId) {
        for known in self.memory.remembered.values_mut() {
            known.retain(|_, known| known.id != representation);
        }
    }

    pub(super) fn want(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        site: SiteId,
        wanted: Option<bool>,
    ) -> Result<()> {
        self.project_of_representation(representation)?;
        if let Some(file) = file
            && self.facts(file)?.representation != representation
        {
            return Err(Error::Invalid(format!(
                "file {} is not of representation {}",
                file.0, representation.0
            )));
        }
        let key = (representation, file.unwrap_or(FileId(0)), site);
        match wanted {
            Some(wanted) => self
                .conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO want (representation, file, site, wanted)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((key.0, key.1, key.2, wanted))?,
            None => self
                .conn
                .prepare_cached(
                    "DELETE FROM want WHERE representation = ?1 AND file = ?2 AND site = ?3",
                )?
                .execute(key)?,
        };
        Ok(())
    }

    pub(super) fn prioritise(
        &mut self,
        representation: RepresentationId,
        priority: i64,
    ) -> Result<usize> {
        self.project_of_representation(representation)?;
        self.conn
            .prepare_cached("UPDATE representation SET priority = ?2 WHERE id = ?1")?
            .execute((representation, priority))?;
        self.forget_name(representation);
        if priority == 0 {
            return Ok(0);
        }
        let sql = "UPDATE job SET priority = ?2 WHERE file IN (
                       SELECT id FROM file INDEXED BY file_of_representation
                       WHERE representation = ?1)";
        Ok(self.conn.prepare_cached(sql)?.execute((representation, priority))?)
    }

    pub(super) fn reset_of(
        &mut self,
        representation: RepresentationId,
        file: Option<FileId>,
        to: Option<SiteId>,
    ) -> Result<usize> {
        let failed: Vec<(FileId, SiteId)> = {
            let mut find = self.conn.prepare_cached(
                "SELECT j.file, j.to_site
                 FROM file f INDEXED BY file_of_representation CROSS JOIN job j ON j.file = f.id
                 WHERE f.representation = ?1 AND f.id BETWEEN ?2 AND ?3
                   AND (?4 IS NULL OR j.to_site = ?4) AND j.state = ?5",
            )?;
            // The index is searched for one file, not read for it.
            let (first, last) = file.map_or((FileId(i64::MIN), FileId(i64::MAX)), |one| (one, one));
            let found = find
                .query_map((representation, first, last, to, Bucket::Failed), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            found.collect::<rusqlite::Result<_>>()?
        };
        for (file, to) in &failed {
            self.conn
                .prepare_cached(
                    "UPDATE job SET tries = 0, not_before = 0, error_kind = NULL,
                                    error_message = NULL
                     WHERE file = ?1 AND to_site = ?2",
                )?
                .execute((file, to))?;
            let state = self.obeying(Bucket::Ready, representation, *to)?;
            self.set_state(*file, *to, state)?;
        }
        Ok(failed.len())
    }

    /// What a file's counters depend on, read afresh.
    pub(super) fn facts(&self, file: FileId) -> Result<Facts> {
        let mut find = self.conn.prepare_cached(
            "SELECT d.root, f.representation, f.generation, f.size
             FROM file f CROSS JOIN folder d ON d.id = f.folder WHERE f.id = ?1",
        )?;
        let found = find.query_row([file], |row| {
            Ok(Facts {
                root: row.get(0)?,
                representation: row.get(1)?,
                generation: row.get(2)?,
                size: row.get(3)?,
            })
        });
        found.optional()?.ok_or_else(|| unknown("file", file.0))
    }

    /// Counts a file anew at every site at which it is anything.
    pub(super) fn recount_file(&mut self, file: FileId, before: Facts, after: Facts) -> Result<()> {
        let slots = self.slots(file)?;
        for (site, slot) in &slots {
            self.count(*site, (before, *slot), (after, *slot));
        }
        let focus = self.focus_on(file, after, true);
        focus.slots = slots;
        focus.whole = true;
        Ok(())
    }
}
