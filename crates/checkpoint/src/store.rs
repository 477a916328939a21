//! The models of a server: found in folders, told apart by their digests, read again when asked.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{CheckpointError, Model, ModelConfig, directory::Source, error::io_error, is_model_directory};

/// A model that is part of the binary.
#[derive(Clone, Copy)]
pub struct Embedded {
    /// Its name.
    pub name: &'static str,
    /// Its `config.json`.
    pub config: &'static [u8],
    /// Its `generator.safetensors`.
    pub generator: &'static [u8],
    /// Its `encoder.safetensors`, if it has one.
    pub encoder: Option<&'static [u8]>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One generation of a model: its configuration is read, its weights are not.
#[derive(Debug)]
pub struct Entry {
    name: String,
    generation: u64,
    digest: String,
    config: ModelConfig,
    source: Source,
}

impl Entry {
    /// The model's name: its folder's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts up with every change of the files that the store has seen; never the same for two contents.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// SHA-256 of the model's files in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Reads and verifies the weights.
    ///
    /// # Errors
    /// As [`crate::read_model`]; also when the files are not those that the store has seen.
    pub fn load(&self) -> Result<Model, CheckpointError> {
        let model = self.source.read()?;
        if model.digest != self.digest {
            return Err(CheckpointError::Changed(self.name.clone()));
        }
        Ok(model)
    }
}

/// The models of a server.
#[derive(Debug)]
pub struct Store {
    roots: Vec<PathBuf>,
    embedded: Option<Embedded>,
    entries: BTreeMap<String, Arc<Entry>>,
    generations: u64,
}

impl Store {
    /// Finds the models in `roots`, each a model directory or a folder of them, beside the embedded one. A folder of
    /// the embedded model's name takes its place.
    ///
    /// # Errors
    /// With everything that is wrong: roots that hold no model, models of one name, files that cannot be used.
    pub fn open(roots: &[PathBuf], embedded: Option<Embedded>) -> Result<Self, Vec<CheckpointError>> {
        let mut store = Self { roots: roots.to_vec(), embedded, entries: BTreeMap::new(), generations: 0 };
        let (sources, mut errors) = store.sources();
        for (name, source) in sources {
            match store.look(&name, source) {
                Ok(entry) => drop(store.entries.insert(name, entry)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(store) } else { Err(errors) }
    }

    /// Looks for models in these folders from now on, in place of those that were given before.
    pub fn set_roots(&mut self, roots: Vec<PathBuf>) {
        self.roots = roots;
    }

    /// All models, by name.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.values().cloned().collect()
    }

    /// Looks at one model's files again. The entry is of a new generation exactly when they have changed.
    ///
    /// # Errors
    /// When there is no such model or its files cannot be used; the entry that was there stays.
    pub fn reload(&mut self, name: &str) -> Result<Arc<Entry>, CheckpointError> {
        let (mut sources, errors) = self.sources();
        let missing =
            || errors.into_iter().next().unwrap_or_else(|| CheckpointError::Unknown(name.to_owned()));
        let source = sources.remove(name).ok_or_else(missing)?;
        let entry = self.look(name, source)?;
        self.entries.insert(name.to_owned(), entry.clone());
        Ok(entry)
    }

    /// Looks at all folders again: models that have come, changed or gone.
    ///
    /// # Errors
    /// When any of them cannot be used; then all entries stay as they were.
    pub fn reload_all(&mut self) -> Result<Vec<Arc<Entry>>, CheckpointError> {
        let (sources, errors) = self.sources();
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let mut entries = BTreeMap::new();
        for (name, source) in sources {
            let entry = self.look(&name, source)?;
            entries.insert(name, entry);
        }
        self.entries = entries;
        Ok(self.entries())
    }

    /// The entry that is there, if its files are the same and where they were; of the same generation, if they are elsewhere;
    /// else a new one.
    fn look(&mut self, name: &str, source: Source) -> Result<Arc<Entry>, CheckpointError> {
        let (config, digest) = source.fingerprint()?;
        let known = self.entries.get(name).filter(|known| known.digest == digest);
        let generation = match known {
            Some(known) if known.source.is_same_place(&source) => return Ok(known.clone()),
            // The same files, in another place: what was read from the old one may be gone.
            Some(known) => known.generation,
            None => {
                self.generations += 1;
                self.generations
            }
        };
        Ok(Arc::new(Entry { name: name.to_owned(), generation, digest, config, source }))
    }

    /// Every model's files by its name, and what is wrong with the roots.
    fn sources(&self) -> (BTreeMap<String, Source>, Vec<CheckpointError>) {
        let (mut sources, mut errors) = (BTreeMap::new(), Vec::new());
        for root in &self.roots {
            if let Err(error) = add_root(&mut sources, root) {
                errors.push(error);
            }
        }
        if let Some(embedded) = self.embedded {
            sources.entry(embedded.name.to_owned()).or_insert(Source::Embedded(embedded));
        }
        (sources, errors)
    }
}

fn add_root(sources: &mut BTreeMap<String, Source>, root: &Path) -> Result<(), CheckpointError> {
    for directory in model_directories(root)? {
        let name = folder_name(&directory)?;
        if let Some(Source::Directory(first)) = sources.get(&name) {
            return Err(CheckpointError::Twice { name, first: first.clone(), second: directory });
        }
        sources.insert(name, Source::Directory(directory));
    }
    Ok(())
}

fn model_directories(root: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    if is_model_directory(root) {
        return Ok(vec![root.to_owned()]);
    }
    let mut directories = Vec::new();
    for entry in fs::read_dir(root).map_err(io_error("read", root))? {
        let path = entry.map_err(io_error("read", root))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && is_model_directory(&path) {
            directories.push(path);
        }
    }
    if directories.is_empty() {
        return Err(CheckpointError::NoModel(root.to_owned()));
    }
    directories.sort();
    Ok(directories)
}

/// The folder's own name, also for `.` or `..`. A link is called by its own name, whatever it points to: to switch it is to
/// switch the model.
fn folder_name(directory: &Path) -> Result<String, CheckpointError> {
    if let Some(name) = directory.file_name() {
        return Ok(name.to_string_lossy().into_owned());
    }
    let full = directory.canonicalize().map_err(io_error("read", directory))?;
    Ok(full.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()))
}
