//! One site of a project by itself, for what concerns no other end.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sitesync_provider::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::pair;
use super::run::End;
use super::schedule::Engine;
use crate::catalog::{self, RootId, SiteId};
use crate::settings::Project;
use crate::sites::{Fault, OpenRoot, recognise};

/// Calls at once to one site, where each is about one file.
const WIDTH: usize = 16;

/// A project's roots at one site.
#[derive(Debug)]
pub(super) struct Place {
    pub site: SiteId,
    /// The site's name in the settings.
    pub name: String,
    pub roots: Vec<RootAt>,
}

/// A root at one site, which is the one that was there before.
#[derive(Debug, Clone)]
pub(super) struct RootAt {
    pub id: RootId,
    pub name: String,
    pub root: Arc<OpenRoot>,
    pub identity: String,
}

impl Place {
    pub(super) fn root(&self, id: RootId) -> Option<&RootAt> {
        self.roots.iter().find(|root| root.id == id)
    }

    /// Looks again whether all roots are the ones that were opened.
    pub(super) async fn still_there(&self) -> Result<(), Fault> {
        for root in &self.roots {
            root.still_there().await.map_err(|error| Fault::new(&self.name, &error))?;
        }
        Ok(())
    }
}

impl RootAt {
    pub(super) async fn still_there(&self) -> Result<(), Error> {
        pair::still_there(&self.root, &self.identity).await
    }
}

/// Why something could not be done at a site.
#[derive(Debug)]
pub enum Trouble {
    /// The site can't be used.
    Site(Fault),
    /// The catalog can't.
    Catalog(catalog::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Site(fault) => fault.fmt(f),
            Trouble::Catalog(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Site(fault)
    }
}

impl From<catalog::Error> for Trouble {
    fn from(error: catalog::Error) -> Self {
        Trouble::Catalog(error)
    }
}

impl From<End> for Trouble {
    fn from(end: End) -> Self {
        match end {
            End::Offline(fault) => Trouble::Site(fault),
            End::Catalog(error) => Trouble::Catalog(error),
        }
    }
}

impl Engine {
    /// Opens a project's roots at a site, as far as they have been used before, and checks that they
    /// are those. Writes nothing.
    pub(super) async fn place(&self, project: &Project, site: &str) -> Result<Place, Trouble> {
        let (name, at) = (project.name.clone(), self.sites.catalog_name(site).to_owned());
        let (id, key) = self
            .catalog
            .write(move |unit| Ok((unit.put_project(&name)?, unit.put_site(&at)?)))
            .await?;
        let mut roots = Vec::new();
        for (name, path) in project.roots(site).iter() {
            let known = self.catalog.read(|view| {
                let Some(root) = view.root(id, name)? else { return Ok(None) };
                Ok(view.root_identity(root, key)?.map(|identity| (root, identity)))
            })?;
            let Some((root_id, remembered)) = known else { continue };
            let root = self.sites.open_for(site, project.site_settings(site), path).await?;
            let identity = recognise(&root, &remembered).await;
            let identity = identity.map_err(|error| Fault::new(site, &error))?.text();
            roots.push(RootAt { id: root_id, name: name.clone(), root, identity });
        }
        Ok(Place { site: key, name: site.to_owned(), roots })
    }
}

/// Whether two roots are one storage under two names.
pub(super) fn one_storage(a: &RootAt, b: &RootAt) -> bool {
    let roots = [a.root.clone(), b.root.clone()];
    pair::refuse_one_folder(&roots, &[a.identity.clone(), b.identity.clone()]).is_err()
}

/// Does something for each of these, a few at once. What comes of them is in no particular order.
pub(super) async fn for_each<T, R, Work>(
    all: Vec<T>,
    work: impl Fn(T) -> Work,
) -> Result<Vec<R>, catalog::Error>
where
    R: Send + 'static,
    Work: Future<Output = R> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(WIDTH));
    let mut works = JoinSet::new();
    let mut done = Vec::with_capacity(all.len());
    for one in all {
        let turn = turns.clone().acquire_owned().await;
        let work = work(one);
        works.spawn(async move {
            let _turn = turn;
            work.await
        });
        while let Some(ended) = works.try_join_next() {
            done.push(joined(ended)?);
        }
    }
    while let Some(ended) = works.join_next().await {
        done.push(joined(ended)?);
    }
    Ok(done)
}

fn joined<R>(ended: Result<R, tokio::task::JoinError>) -> Result<R, catalog::Error> {
    ended.map_err(|panic| catalog::Error::Panicked(panic.to_string()))
}
