//! Why a store's models cannot be had.

use std::{io, path::PathBuf};

use crate::MANIFEST;

/// Why a store's models cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not a URL of a kind that is read.
    #[error("`{url}` is no place of models: {reason}; write s3://bucket/path, gs://, az:// or https://")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store's client cannot be made of the URL and the environment.
    #[error("the store of {url} cannot be used as it is configured")]
    Client {
        /// The place.
        url: String,
        /// What is missing.
        #[source]
        source: object_store::Error,
    },
    /// The store does not answer, or refuses.
    #[error("read {place}")]
    Store {
        /// The object.
        place: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The store has not answered for too long.
    #[error("{place} does not arrive")]
    Silent {
        /// The object.
        place: String,
    },
    /// Models without digests.
    #[error(
        "{place} has no {MANIFEST}; write one in the model's folder with `sha256sum config.json *.safetensors > {MANIFEST}` and upload it last"
    )]
    NoManifest {
        /// The folder.
        place: String,
    },
    /// The manifest is not one.
    #[error("{place}: {reason}")]
    Manifest {
        /// The manifest.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A file is not the one that the manifest names.
    #[error(
        "{place} has the SHA-256 {found} and its {MANIFEST} says {wanted}; upload the model again, {MANIFEST} last"
    )]
    WrongDigest {
        /// The file.
        place: String,
        /// What came.
        found: String,
        /// What should have come.
        wanted: String,
    },
    /// The cache cannot be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RemoteError {
    /// Whether the URL, the credentials or the uploaded files have to be changed; else it may work later.
    pub fn is_user_error(&self) -> bool {
        match self {
            Self::Url { .. }
            | Self::Client { .. }
            | Self::NoManifest { .. }
            | Self::Manifest { .. }
            | Self::WrongDigest { .. } => true,
            Self::Store { source, .. } => matches!(
                source,
                object_store::Error::NotFound { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
            ),
            Self::Silent { .. } | Self::Io { .. } => false,
        }
    }

    /// Whether the store was reached and what lies in it cannot be used.
    pub fn is_bad_content(&self) -> bool {
        matches!(self, Self::NoManifest { .. } | Self::Manifest { .. } | Self::WrongDigest { .. })
    }
}

/// Names the place of an I/O error.
pub(crate) fn io_error(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> RemoteError {
    let path = path.to_owned();
    move |source| RemoteError::Io { action, path, source }
}
