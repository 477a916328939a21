//! A look at the stores behind the library's URLs, as metrics and log lines.

use std::sync::Arc;

use spadework_metrics::{Metrics, StoreCheck};
use spadework_remote::{Fetched, RemoteError};
use tokio::runtime::Handle;

use crate::library::{CachedStore, RefreshResult};

/// Brings the copies of `stores` up to date, one after the other. Blocks, on a thread of the runtime that may, and holds
/// nothing that anybody else waits for.
///
/// # Errors
/// When any of them fails, with the first reason; the others are up to date.
pub fn refresh(stores: &[Arc<CachedStore>], metrics: &Metrics) -> Result<(), RemoteError> {
    let mut failed = None;
    for store in stores {
        let RefreshResult { url, outcome, available } = store.refresh(&Handle::current());
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
                failed.get_or_insert(error);
            }
        }
    }
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
