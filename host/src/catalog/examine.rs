//! A look at the catalog as a whole, for those who ask what is the matter with it.

use super::rows::natural;
use super::tally::Bucket;
use super::{Error, Result, Sqlite, schema};

/// More than this says nothing new.
const PROBLEMS: usize = 5;

/// How many files of a project there are, over all sites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tallied {
    /// The project's name.
    pub project: String,
    /// That a site has in their newest content: a file at two sites counts twice.
    pub synced: u64,
    /// That wait to be brought to a site, or are on their way.
    pub under_way: u64,
    /// That wait until the site from which they come has their newest content.
    pub parked: u64,
    /// That a pause of their representation, or a guard, keeps back.
    pub held: u64,
    /// That were given up.
    pub failed: u64,
    /// That differ at both ends.
    pub conflicts: u64,
}

impl Sqlite {
    /// The version of its schema.
    pub fn schema_version(&self) -> Result<i64> {
        self.look(schema::version)
    }

    /// Reads all of it, and says whether its structure is sound: else [`Error::Damaged`], with what
    /// SQLite says of it. Takes as long as reading the file does; who writes meanwhile need not wait.
    pub fn check(&self) -> Result<()> {
        let problems = self.look(|conn| {
            let mut check = conn.prepare(&format!("PRAGMA quick_check({PROBLEMS})"))?;
            let found = check.query_map((), |row| row.get::<_, String>(0))?;
            Ok(found.collect::<rusqlite::Result<Vec<_>>>()?)
        })?;
        if problems == ["ok"] { Ok(()) } else { Err(Error::Damaged(problems.join("; "))) }
    }

    /// How many files of each project there are, from kept counters; by the projects' names.
    pub fn tallies(&self) -> Result<Vec<Tallied>> {
        self.look(|conn| {
            let mut sums = conn.prepare(
                "SELECT p.name, c.bucket, coalesce(sum(c.files), 0)
                 FROM project p LEFT JOIN root r ON r.project = p.id
                                LEFT JOIN counter c ON c.root = r.id
                 GROUP BY p.name, c.bucket ORDER BY p.name",
            )?;
            let mut found = sums.query(())?;
            let mut tallies: Vec<Tallied> = Vec::new();
            while let Some(row) = found.next()? {
                let project: String = row.get(0)?;
                if tallies.last().is_none_or(|last| last.project != project) {
                    tallies.push(Tallied { project, ..Tallied::default() });
                }
                let (Some(tally), Some(bucket)) = (tallies.last_mut(), row.get(1)?) else {
                    continue;
                };
                let sum = match bucket {
                    Bucket::Ready | Bucket::Waiting | Bucket::InProgress => &mut tally.under_way,
                    Bucket::Parked => &mut tally.parked,
                    Bucket::Held | Bucket::Guarded => &mut tally.held,
                    Bucket::Failed => &mut tally.failed,
                    Bucket::Conflict => &mut tally.conflicts,
                    Bucket::Synced => &mut tally.synced,
                };
                *sum += natural(row.get(2)?);
            }
            Ok(tallies)
        })
    }
}
