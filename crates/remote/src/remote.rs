//! A place of models: what lies in it, and the copy on disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use object_store::ObjectStoreExt as _;
use tokio::time::timeout;

use crate::{
    MANIFEST, RemoteError,
    cache::{self, Cache},
    download::Download,
    error::io_error,
    location::{Location, SILENCE},
    manifest::{CONFIG, Manifest, ModelFiles},
};

/// The longest manifest that is read.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// The models under a URL, and their copy on disk.
#[derive(Clone, Debug)]
pub struct Remote {
    location: Location,
    cache: Cache,
    /// The store has made trouble since it was last read to the end.
    failing: Arc<AtomicBool>,
}

/// A copy that is up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of the models' directories.
    pub models: PathBuf,
    /// Bytes that had to be fetched.
    pub bytes: u64,
}

impl Remote {
    /// The models under `url`, copied below `cache`. Asks nothing of the store.
    ///
    /// # Errors
    /// When the URL is none of a store, its client cannot be made, or the cache cannot be written.
    pub fn open(url: &str, cache: &Path) -> Result<Self, RemoteError> {
        let location = Location::parse(url)?;
        let cache = Cache::open(cache, &location.shown)?;
        Ok(Self { location, cache, failing: Arc::default() })
    }

    /// Whether the store makes trouble: from the first thing that goes wrong until it has been read to the end.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.location.shown
    }

    /// The copy on disk, every file verified; none when there is no whole one. Needs no network.
    pub fn cached(&self) -> Option<PathBuf> {
        let current = self.cache.current()?;
        match self.verify(&current) {
            Ok(true) => Some(self.cache.generation(&current)),
            Ok(false) => {
                tracing::warn!(url = self.url(), "the cached copy is damaged");
                None
            }
            Err(error) => {
                tracing::warn!(
                    url = self.url(),
                    error = &error as &dyn std::error::Error,
                    "the cached copy cannot be read"
                );
                None
            }
        }
    }

    /// Brings the copy up to date with the store. Files are written on the calling thread: it must be one that may
    /// block.
    ///
    /// # Errors
    /// When the store does not answer, what lies in it cannot be used, or the disk is full. The copy that was current
    /// stays so.
    pub async fn refresh(&self) -> Result<Fetched, RemoteError> {
        let fetched = self.fetch_all().await;
        self.failing.store(fetched.is_err(), Ordering::Relaxed);
        fetched
    }

    async fn fetch_all(&self) -> Result<Fetched, RemoteError> {
        let manifest = self.manifest().await?;
        let generation = manifest.generation();
        let _lock = self.cache.lock()?;
        if self.cache.current().as_ref() == Some(&generation) && self.verify(&generation).unwrap_or(false) {
            return Ok(Fetched { models: self.cache.generation(&generation), bytes: 0 });
        }
        let folder = self.cache.gather(&generation)?;
        let mut bytes = 0;
        for (name, files) in &manifest.models {
            bytes += self.fetch(files, &folder.join(name)).await?;
        }
        self.cache.publish(&generation, &manifest)?;
        Ok(Fetched { models: self.cache.generation(&generation), bytes })
    }

    /// Fetches what is missing of one model; the bytes that were.
    async fn fetch(&self, files: &ModelFiles, to: &Path) -> Result<u64, RemoteError> {
        fs::create_dir_all(to).map_err(io_error("create", to))?;
        let folder = files.folder.as_deref();
        let mut bytes = 0;
        for (file, digest) in &files.digests {
            let path = to.join(file);
            if cache::is_whole(&path, digest)? || self.reuse(&path, digest) {
                continue;
            }
            let object = self.location.path(folder, file);
            let place = self.location.show(folder, file);
            let store = &*self.location.store;
            bytes += Download { store, object: &object, file: &path, place, digest, trouble: &self.failing }
                .run()
                .await?;
        }
        Ok(bytes)
    }

    /// Takes a file of the current generation that is the same, as most are when only a configuration changes.
    fn reuse(&self, path: &Path, digest: &str) -> bool {
        let Some(current) = self.cache.current() else { return false };
        let Ok(manifest) = self.cache.manifest(&current) else { return false };
        manifest.models.iter().any(|(name, files)| {
            let same = files.digests.iter().filter(|(_, known)| *known == digest);
            same.map(|(file, _)| self.cache.generation(&current).join(name).join(file)).any(|known| {
                let _ = fs::remove_file(path);
                fs::hard_link(&known, path).or_else(|_| fs::copy(&known, path).map(drop)).is_ok()
                    && cache::is_whole(path, digest).unwrap_or(false)
            })
        })
    }

    fn verify(&self, generation: &str) -> Result<bool, RemoteError> {
        let folder = self.cache.generation(generation);
        for (name, files) in &self.cache.manifest(generation)?.models {
            for (file, digest) in &files.digests {
                if !cache::is_whole(&folder.join(name).join(file), digest)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What lies in the store: one manifest for all of it, or one in each folder.
    async fn manifest(&self) -> Result<Manifest, RemoteError> {
        if let Some(manifest) = self.manifest_of(None).await? {
            return Ok(manifest);
        }
        let mut all = Manifest::default();
        for folder in self.folders().await? {
            match self.manifest_of(Some(&folder)).await? {
                Some(one) => all.extend(one.in_folder(&folder)),
                None if self.has_config(&folder).await? => {
                    return Err(RemoteError::NoManifest { place: format!("{}/{folder}", self.url()) });
                }
                None => {}
            }
        }
        if all.models.is_empty() {
            return Err(RemoteError::NoManifest { place: self.url().to_owned() });
        }
        Ok(all)
    }

    async fn manifest_of(&self, folder: Option<&str>) -> Result<Option<Manifest>, RemoteError> {
        let place = self.location.show(folder, MANIFEST);
        let path = self.location.path(folder, MANIFEST);
        let read = async {
            let answer = self.location.store.get(&path).await?;
            if answer.meta.size > LONGEST_MANIFEST { Ok(None) } else { answer.bytes().await.map(Some) }
        };
        let read = timeout(SILENCE, read).await.map_err(|_| RemoteError::Silent { place: place.clone() })?;
        let text = match read {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(RemoteError::Store { place, source }),
            Ok(None) => {
                let reason = format!("it has more than {LONGEST_MANIFEST} bytes, which no manifest has");
                return Err(RemoteError::Manifest { place, reason });
            }
            Ok(Some(text)) => text,
        };
        let name = folder.unwrap_or(&self.location.name);
        Manifest::parse(&String::from_utf8_lossy(&text), name)
            .map(Some)
            .map_err(|reason| RemoteError::Manifest { place, reason })
    }

    /// Whether the folder is a model, if one without digests.
    async fn has_config(&self, folder: &str) -> Result<bool, RemoteError> {
        let place = self.location.show(Some(folder), CONFIG);
        let path = self.location.path(Some(folder), CONFIG);
        let asked = timeout(SILENCE, self.location.store.head(&path)).await;
        match asked.map_err(|_| RemoteError::Silent { place: place.clone() })? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(RemoteError::Store { place, source }),
        }
    }

    /// The folders in the place, where the store can list them.
    async fn folders(&self) -> Result<Vec<String>, RemoteError> {
        if !self.location.lists {
            return Ok(Vec::new());
        }
        let place = self.url().to_owned();
        let listed = self.location.store.list_with_delimiter(Some(&self.location.prefix));
        let listed =
            timeout(SILENCE, listed).await.map_err(|_| RemoteError::Silent { place: place.clone() })?;
        let listed = listed.map_err(|source| RemoteError::Store { place, source })?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| Some(prefix.filename()?.to_owned())).collect())
    }
}
