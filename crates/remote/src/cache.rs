//! A place's copy on disk: one folder for each generation of its models, of which one is current.
//!
//! ```text
//! CACHE/s3-bucket-models-1f0c…/    one for each URL
//!     lock                         held by the process that fetches
//!     current                      the name of the generation that is whole
//!     8d969eef6ecad3c2/NAME/…      a generation: a folder of model directories
//!     <generation>.partial/NAME/…  one that is being fetched
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    RemoteError,
    error::io_error,
    manifest::{Manifest, hex},
};

/// The manifest of a generation, with the names of its models: what is verified when there is no network.
const NAMES: &str = "SHA256SUMS";
const CURRENT: &str = "current";
const PARTIAL: &str = ".partial";

/// The copy of one place.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// Keeps other processes from fetching into the same cache until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Cache {
    /// The copy of `url` below `root`. Makes its folder, and so tells at once when it cannot be written.
    pub(crate) fn open(root: &Path, url: &str) -> Result<Self, RemoteError> {
        let folder = root.join(folder_name(url));
        fs::create_dir_all(&folder).map_err(io_error("create the cache", &folder))?;
        let cache = Self { folder };
        let lock = cache.folder.join("lock");
        File::create(&lock).map_err(io_error("write the cache", &lock))?;
        Ok(cache)
    }

    /// Waits until no other process fetches into this copy.
    pub(crate) fn lock(&self) -> Result<Lock, RemoteError> {
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(io_error("write the cache", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::info!(path = %self.folder.display(), "waiting for another process that fills this cache");
                file.lock().map_err(io_error("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "the cache cannot be locked; use it from one process only");
            }
        }
        Ok(Lock { _file: file })
    }

    /// The generation that is whole, if there is one.
    pub(crate) fn current(&self) -> Option<String> {
        let name = fs::read_to_string(self.folder.join(CURRENT)).ok()?;
        self.generation(&name).is_dir().then_some(name)
    }

    /// The folder of a generation.
    pub(crate) fn generation(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The models of a generation as they were fetched.
    pub(crate) fn manifest(&self, name: &str) -> Result<Manifest, RemoteError> {
        let path = self.generation(name).join(NAMES);
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        Manifest::parse(&text, name)
            .map_err(|reason| RemoteError::Manifest { place: path.display().to_string(), reason })
    }

    /// The folder in which a generation is gathered. What an earlier attempt left in it is still there, and so is
    /// what a damaged copy still has.
    pub(crate) fn gather(&self, name: &str) -> Result<PathBuf, RemoteError> {
        let (partial, published) = (self.folder.join(format!("{name}{PARTIAL}")), self.generation(name));
        if published.is_dir() && !partial.exists() {
            fs::rename(&published, &partial).map_err(io_error("rename", &published))?;
        }
        fs::create_dir_all(&partial).map_err(io_error("create", &partial))?;
        Ok(partial)
    }

    /// Makes the gathered files the current generation, and removes all but it and the one before: a server may still
    /// have to read that once more.
    pub(crate) fn publish(&self, name: &str, manifest: &Manifest) -> Result<(), RemoteError> {
        let partial = self.folder.join(format!("{name}{PARTIAL}"));
        write_whole(&partial.join(NAMES), &manifest.to_string())?;
        let folder = self.generation(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_error("remove", &folder))?;
        }
        fs::rename(&partial, &folder).map_err(io_error("rename", &partial))?;
        let before = self.current();
        write_whole(&self.folder.join(CURRENT), name)?;
        self.prune(&[Some(name), before.as_deref()]);
        Ok(())
    }

    fn prune(&self, kept: &[Option<&str>]) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if entry.path().is_dir() && !kept.contains(&name.to_str()) {
                // What cannot be removed now is tried again after the next fetch.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// SHA-256 of a file in hexadecimal, and its length; none where there is no file.
pub(crate) fn digest(path: &Path) -> Result<Option<(Sha256, u64)>, RemoteError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error("read", path))?,
    };
    let (mut digest, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(io_error("read", path))? {
            0 => return Ok(Some((digest, length))),
            count => {
                digest.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

/// Whether the file is there and has this digest.
pub(crate) fn is_whole(path: &Path, wanted: &str) -> Result<bool, RemoteError> {
    Ok(digest(path)?.is_some_and(|(digest, _)| hex(digest) == wanted))
}

/// Replaces a small file as a whole.
fn write_whole(path: &Path, text: &str) -> Result<(), RemoteError> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(io_error("write", path))
}

/// Readable, and never the same for two URLs.
fn folder_name(url: &str) -> String {
    let readable: String = url
        .split("://")
        .collect::<Vec<_>>()
        .join("-")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' })
        .take(80)
        .collect();
    let mut digest = Sha256::new();
    digest.update(url);
    format!("{readable}-{}", &hex(digest)[..8])
}
