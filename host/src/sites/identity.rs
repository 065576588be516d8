//! What tells an unmounted disk from an empty one: a marker with a random id in every root. A root
//! that has an id for good, from its service, is known by that.

use serde::{Deserialize, Serialize};
use sitesync_provider::{Error, ErrorKind, Expect, ReadOptions, Result, RootInfo, WriteOptions};

use super::{OpenRoot, Operation};

/// The marker's path beneath a root.
const MARKER: &str = ".sitesync/root.json";
/// The code of the error for a root that is there and is not the one that was meant.
const ANOTHER_ROOT: &str = "another root";
/// A marker is a few dozen bytes.
const LONGEST: usize = 4096;

/// Which root this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The id in its marker.
    Marker(String),
    /// It needs none, or can't be given one: what the provider identifies it by.
    StandIn(String),
}

impl Identity {
    /// The text to remember.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Identity::Marker(id) => format!("marker:{id}"),
            Identity::StandIn(id) => format!("root:{id}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Marker {
    id: String,
}

/// The identity of a root as it is now, `info` being what its provider says of it: `None` if it has
/// no marker and needs one.
pub async fn read_identity(root: &OpenRoot, info: &RootInfo) -> Result<Option<Identity>> {
    if info.lasting_id {
        return Ok(Some(Identity::StandIn(info.root_id.clone())));
    }
    let mut reading = match root.open_read(MARKER, ReadOptions::new()).await {
        Ok(reading) => reading,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    while text.len() <= LONGEST {
        let chunk = reading.read(LONGEST).await?;
        if chunk.is_empty() {
            break;
        }
        text.extend_from_slice(&chunk);
    }
    let marker: Marker = serde_json::from_slice(&text).map_err(|error| {
        Error::new(ErrorKind::Corrupt, format!("{MARKER} in {} is damaged: {error}", root.root))
    })?;
    Ok(Some(Identity::Marker(marker.id)))
}

/// The identity of a root, checked against the one that is remembered.
///
/// A root that was never used is given a marker, with `fresh` as its id. One that is remembered must
/// be that one: see [`recognise`].
pub async fn establish(root: &OpenRoot, remembered: Option<&str>, fresh: &str) -> Result<Identity> {
    if let Some(remembered) = remembered {
        return recognise(root, remembered).await;
    }
    let found = match read_identity(root, &root.info).await? {
        Some(marker) => Some(marker),
        None => mark(root, fresh).await?,
    };
    Ok(found.unwrap_or_else(|| stand_in(root)))
}

/// The identity of a root that is remembered; writes nothing.
///
/// A root that has no marker, or another, is not the one that was meant: `RootUnavailable`.
pub async fn recognise(root: &OpenRoot, remembered: &str) -> Result<Identity> {
    let identity = read_identity(root, &root.info).await?.unwrap_or_else(|| stand_in(root));
    if remembered == identity.text() || remembered == stand_in(root).text() {
        return Ok(identity);
    }
    let message = match identity {
        Identity::Marker(_) => format!(
            "{} is another root than the one that was here before (its {MARKER} differs)",
            root.root
        ),
        Identity::StandIn(_) if root.info.lasting_id => {
            format!("{} is another folder than the one that was here before", root.root)
        }
        Identity::StandIn(_) => {
            format!("{} lacks the marker {MARKER} that it had: not mounted?", root.root)
        }
    };
    Err(Error::new(ErrorKind::RootUnavailable, message).with_code(ANOTHER_ROOT))
}

/// True if a root is there and is not the one that was meant.
#[must_use]
pub fn is_another_root(error: &Error) -> bool {
    error.kind() == ErrorKind::RootUnavailable && error.code() == ANOTHER_ROOT
}

/// What a root without a marker is known by.
fn stand_in(root: &OpenRoot) -> Identity {
    Identity::StandIn(root.info.root_id.clone())
}

/// Gives a root its marker; `None` where that can't be.
async fn mark(root: &OpenRoot, id: &str) -> Result<Option<Identity>> {
    let text = serde_json::to_vec(&Marker { id: id.to_owned() })
        .map_err(|error| Error::new(ErrorKind::Unexpected, error.to_string()))?;
    let (operation, op) = Operation::new(Vec::new(), |_| {});
    let how = WriteOptions::new(text.len() as u64, Expect::Nothing).op(op);
    let written = async {
        let mut writing = root.open_write(MARKER, how, operation).await?;
        writing.write(text.into()).await?;
        writing.finish().await.0
    };
    match written.await {
        Ok(_) => Ok(Some(Identity::Marker(id.to_owned()))),
        // Another host was first: its id is the root's.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read_identity(root, &root.info).await
        }
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnly | ErrorKind::StorageFull
            ) =>
        {
            tracing::warn!(
                site = root.site, root = root.root, %error,
                "the root can't be given a marker: it is known by its file system and inode"
            );
            // Nothing that matters was refused: what is only read from is well.
            root.storage.stored();
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
