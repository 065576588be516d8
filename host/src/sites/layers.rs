//! What every call to a site passes through: a limit of time on its way out; on its way back, what
//! it tells of the storage's health and of the root, and the name of who answered.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sitesync_provider::{Error, ErrorKind, Result};

use super::{Limits, Operation, Storage};
use crate::settings;

/// The layers around the calls to one root.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    who: Arc<str>,
    pub(super) storage: Arc<Storage>,
    pub(super) limits: Limits,
    /// The first answer that the root is not there any more.
    gone: Arc<OnceLock<Error>>,
}

/// Who answers for a site, as errors begin: `site 'nas': local_drive`.
pub(super) fn who(site: &settings::Site) -> String {
    format!("{}{}", prefix(&site.name), site.provider)
}

/// How errors of a site begin.
pub(super) fn prefix(site: &str) -> String {
    format!("site '{site}': ")
}

/// An answer within this time, or `Timeout`.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("no answer within {} s", limit.as_secs_f64())))
    })
}

impl Layers {
    pub(super) fn new(who: impl Into<Arc<str>>, storage: Arc<Storage>, limits: Limits) -> Self {
        Layers { who: who.into(), storage, limits, gone: Arc::default() }
    }

    /// Waits for a call that answers in one piece.
    pub(super) async fn answer<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.heard(within(self.limits.answer, call).await)
    }

    /// Waits for the next piece of something.
    pub(super) async fn piece<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.heard(within(self.limits.silence, call).await)
    }

    /// Waits for a barrier, or for a call that takes as long.
    pub(super) async fn barrier<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.heard(within(self.limits.barrier, call).await)
    }

    /// Waits for a call of an operation for as long as that makes progress.
    pub(super) async fn watched<T>(
        &self,
        operation: &Operation,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.heard(operation.watch(self.limits.silence, call).await)
    }

    /// What an answer tells of the storage. An error is told who it came from.
    pub(super) fn heard<T>(&self, answer: Result<T>) -> Result<T> {
        match answer {
            Ok(value) => {
                self.storage.good();
                Ok(value)
            }
            Err(error) => {
                if let Some(parked) = self.storage.bad(&error) {
                    tracing::warn!(storage = self.storage.id, "{}: {parked}", self.who);
                }
                let error = self.named(error);
                // Other roots may lie on the same storage: it is not to blame.
                if error.kind() == ErrorKind::RootUnavailable {
                    self.lose(&error);
                }
                Err(error)
            }
        }
    }

    /// Notes that the root is not there any more.
    pub(super) fn lose(&self, error: &Error) {
        let _ = self.gone.set(error.clone());
    }

    /// Why the root counts as gone, if it does.
    pub(super) fn gone(&self) -> Option<&Error> {
        self.gone.get()
    }

    pub(super) fn named(&self, error: Error) -> Error {
        error.context(&self.who)
    }
}

/// An answer that no sound provider gives.
pub(super) fn nonsense(what: impl Display) -> Error {
    Error::new(ErrorKind::Unexpected, format!("the provider's answer makes no sense: {what}"))
}
