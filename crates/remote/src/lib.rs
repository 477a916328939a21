//! Models from object stores, kept on disk.
//!
//! A [`Remote`] is a URL (`s3://`, `gs://`, `az://`, `https://`) under which models lie, each a folder with a
//! `SHA256SUMS` as `sha256sum` writes it. [`Remote::refresh`] brings the copy on disk up to date: what the manifest
//! names is fetched, continued where an earlier attempt broke off, verified, and appears whole or not at all.
//! [`Remote::cached`] is that copy, verified again, and needs no network.
//!
//! Files are never taken without a digest. It guards against damage and half-done uploads, not against whoever may
//! write to the store.

mod cache;
mod download;
mod error;
mod location;
mod manifest;
mod remote;

pub use error::RemoteError;
pub use location::install_tls;
pub use manifest::MANIFEST;
pub use remote::{Fetched, Remote};
