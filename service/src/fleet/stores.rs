//! A look at the stores behind the library's URLs, as metrics and log lines.

use spadework_metrics::{Metrics, StoreCheck};
use spadework_remote::{Fetched, RemoteError};
use tokio::runtime::Handle;

use crate::library::{Checked, Library};

/// A store did not bring its models up to date.
pub struct Failed {
    /// Why.
    pub error: RemoteError,
    /// Whether every store has models of an earlier fetch.
    pub available: bool,
}

impl Failed {
    /// An error only where there is nothing to serve.
    ///
    /// # Errors
    /// With the reason, in that case.
    pub fn unless_available(self) -> Result<(), RemoteError> {
        if self.available { Ok(()) } else { Err(self.error) }
    }
}

/// Brings the copies of all stores up to date, or of those that have the model `name`. Blocks, on a thread of the
/// runtime that may.
///
/// # Errors
/// When any of them fails. The first one that leaves nothing to serve is told, else the first.
pub fn refresh(library: &mut Library, name: Option<&str>, metrics: &Metrics) -> Result<(), Failed> {
    let mut failed: Option<Failed> = None;
    for Checked { url, outcome, available } in library.refresh(name, &Handle::current()) {
        metrics.store_checked(kind(&outcome));
        match outcome {
            Ok(Fetched { bytes: 0, .. }) => tracing::info!(url, "the models of a store are up to date"),
            Ok(Fetched { bytes, .. }) => tracing::info!(url, bytes, "the models of a store were fetched"),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                if available {
                    tracing::warn!(url, error = cause, "a store failed; what was fetched earlier is served");
                } else {
                    tracing::error!(url, error = cause, "a store failed, and nothing was fetched earlier");
                }
                if failed.as_ref().is_none_or(|first| first.available && !available) {
                    failed = Some(Failed { error, available });
                }
            }
        }
    }
    metrics.stores_failing(library.failing());
    failed.map_or(Ok(()), Err)
}

fn kind(outcome: &Result<Fetched, RemoteError>) -> StoreCheck {
    match outcome {
        Ok(Fetched { bytes: 0, .. }) => StoreCheck::Current,
        Ok(_) => StoreCheck::Fetched,
        Err(RemoteError::Io { .. }) => StoreCheck::CacheFailed,
        Err(error) if error.is_bad_content() => StoreCheck::Invalid,
        Err(_) => StoreCheck::Unreachable,
    }
}
