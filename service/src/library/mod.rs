//! Every model that a command or a server can use: those in folders, those behind URLs, the one in the binary.

mod roots;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use spadework_checkpoint::Store;
use spadework_remote::{Fetched, Remote, RemoteError};
use tokio::runtime::Handle;

use crate::{embedded::LANDSCAPE, outcome::Mistake};
pub use roots::{ModelRoot, ModelRoots};

/// Where models come from.
#[derive(Clone, Debug, Default, Args)]
pub struct LibraryArgs {
    /// A model directory, a folder of them, or the URL of either (s3, gs, az, https); repeat it for several (in the variable, separate them by a colon)
    #[arg(long, env = "SPADEWORK_MODELS", value_name = "DIR|URL")]
    pub models: Vec<ModelRoots>,
    /// Folder in which models from URLs are kept; else `spadework` in the user's cache folder
    #[arg(long, env = "SPADEWORK_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// The models' files, wherever they come from.
pub struct Library {
    /// The models as they were last looked at.
    pub store: Store,
    folders: Vec<PathBuf>,
    stores: Vec<Arc<CachedStore>>,
}

/// A place behind a URL and its copy, once there is one. It is read without the library, for as long as that takes.
pub struct CachedStore {
    remote: Remote,
    copy: Mutex<Option<PathBuf>>,
    /// Held while the store is read: whoever comes meanwhile waits for what it finds. Whether it has been, ever.
    reading: Mutex<bool>,
}

/// What a look at a store brought.
pub struct RefreshResult {
    /// The place.
    pub url: String,
    /// What came, or why nothing did.
    pub outcome: Result<Fetched, RemoteError>,
    /// Whether there are models to serve, if only those of an earlier look.
    pub available: bool,
}

impl Library {
    /// Reads the folders, and checks the URLs without asking their stores; [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    /// With every mistake.
    pub fn open(args: &LibraryArgs) -> Result<Self, Vec<anyhow::Error>> {
        let (mut folders, mut stores, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
        for root in args.models.iter().flat_map(|roots| &roots.0) {
            match root {
                ModelRoot::Folder(folder) => match check_folder(folder) {
                    Ok(()) => folders.push(folder.clone()),
                    Err(mistake) => mistakes.push(mistake),
                },
                ModelRoot::Url(url) => match open_remote(url, args.cache_dir.clone()) {
                    Ok(remote) => stores.push(Arc::new(CachedStore::new(remote))),
                    Err(mistake) => mistakes.push(mistake),
                },
            }
        }
        match Store::open(&folders, Some(LANDSCAPE)) {
            Ok(store) if mistakes.is_empty() => Ok(Self { store, folders, stores }),
            Ok(_) => Err(mistakes),
            Err(errors) => Err(errors.into_iter().map(Into::into).chain(mistakes).collect()),
        }
    }

    /// Whether there is certainly no model `name`: a store that has not been asked may have it.
    pub fn lacks(&self, name: &str) -> bool {
        self.stores.is_empty() && !self.store.entries().iter().any(|entry| entry.name() == name)
    }

    /// The names of the models that are known, for a sentence.
    pub fn names(&self) -> String {
        let names = self.store.entries().into_iter().map(|entry| format!("`{}`", entry.name()));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The stores behind the URLs.
    pub fn stores(&self) -> &[Arc<CachedStore>] {
        &self.stores
    }

    /// Looks for models in the folders and in the copies that there are now. What the library's models are changes only with
    /// the next look at [`store`](Self::store).
    pub fn use_copies(&mut self) {
        let copies = self.stores.iter().filter_map(|store| store.copy());
        self.store.set_roots(self.folders.iter().cloned().chain(copies).collect());
    }

    /// Asks all stores and brings their copies up to date, one after the other. Blocks.
    fn refresh(&mut self, runtime: &Handle) -> Vec<RefreshResult> {
        let refreshed = self.stores.iter().map(|store| store.refresh(runtime)).collect();
        self.use_copies();
        refreshed
    }

    /// Asks all stores, and then looks at all models, for a command that has no server's patience.
    ///
    /// # Errors
    /// When a place has no models that could be used, or a model cannot be read.
    pub fn fetch(&mut self) -> anyhow::Result<()> {
        if self.stores.is_empty() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        for RefreshResult { url, outcome, available } in self.refresh(runtime.handle()) {
            match outcome {
                Err(error) if available => {
                    eprintln!("{url} cannot be read ({error}); what was fetched earlier is used");
                }
                outcome => drop(outcome?),
            }
        }
        self.store.reload_all().map(drop).map_err(Into::into)
    }
}

impl CachedStore {
    fn new(remote: Remote) -> Self {
        Self { remote, copy: Mutex::default(), reading: Mutex::default() }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.remote.url()
    }

    /// The folder of its models, if there is a whole copy.
    pub fn copy(&self) -> Option<PathBuf> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the model `name` came from here.
    pub fn has(&self, name: &str) -> bool {
        self.copy().is_some_and(|copy| copy.join(name).is_dir())
    }

    /// Whether its store makes trouble.
    pub fn is_failing(&self) -> bool {
        self.remote.is_failing()
    }

    /// Whether this process has asked the store.
    pub fn was_read(&self) -> bool {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the copy of an earlier process, if it is whole; tells whether there is one. Asks nothing of the store.
    pub fn take_cached(&self) -> bool {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        if copy.is_none() {
            *copy = self.remote.cached();
        }
        copy.is_some()
    }

    /// Asks the store and brings the copy up to date. Blocks, on a thread that may.
    pub fn refresh(&self, runtime: &Handle) -> RefreshResult {
        let mut read = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *read = true;
        let outcome = runtime.block_on(self.remote.refresh());
        if let Ok(fetched) = &outcome {
            *self.copy.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched.models.clone());
        }
        let available = self.take_cached();
        RefreshResult { url: self.url().to_owned(), outcome, available }
    }
}

/// Refuses what is no folder, by what it is.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let place = folder.display();
    if folder.is_dir() {
        return Ok(());
    }
    Err(Mistake::error(match folder.extension().and_then(|extension| extension.to_str()) {
        _ if !folder.exists() => format!("the folder {place} does not exist"),
        Some("pth" | "pt" | "ckpt" | "bin" | "safetensors") => format!(
            "{place} is a checkpoint, not a model directory: import it first with `spadework import --weights {place} --out DIR`"
        ),
        _ => format!("{place} is a file, not a model directory or a folder of them"),
    }))
}

fn open_remote(url: &str, cache_dir: Option<PathBuf>) -> anyhow::Result<Remote> {
    spadework_remote::install_tls();
    let cache = cache_dir.or_else(user_cache).ok_or_else(|| {
        Mistake::error("there is no home folder to keep models in; name one with --cache-dir")
    })?;
    Ok(Remote::open(url, &cache)?)
}

/// As the XDG base directory specification has it.
fn user_cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("spadework"))
}
