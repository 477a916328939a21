//! A run's folder: where each of its files is, and that one process at a time writes them.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    checkpoint::Checkpoints,
    config::{RUN_VERSION, RunConfig},
};
use crate::outcome::Mistake;

const CONFIG: &str = "config.json";
const CHECKPOINTS: &str = "checkpoints";
const PREVIEWS: &str = "previews";
const METRICS: &str = "metrics.jsonl";
const LOCK: &str = ".lock";

/// A folder that this process writes to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held as long as the value lives; the system lets go of it when the process ends, however it does.
    _lock: File,
}

impl RunFolder {
    /// Begins a run in the new folder `path`.
    ///
    /// # Errors
    /// When there is a run already, or the folder cannot be written.
    pub fn create(path: &Path, config: &RunConfig) -> anyhow::Result<Self> {
        if is_run(path) {
            return Err(Mistake::error(format!(
                "{} holds a run already; go on with `spadework-train resume {}`, or give another --out",
                path.display(),
                path.display()
            )));
        }
        for folder in [path.to_owned(), path.join(CHECKPOINTS), path.join(PREVIEWS)] {
            fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        }
        let folder = Self::lock(path)?;
        folder.write_config(config)?;
        Ok(folder)
    }

    /// Goes on with the run in `path`.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or another process works on it.
    pub fn open(path: &Path) -> anyhow::Result<(Self, RunConfig)> {
        let config = read_config(path)?;
        Ok((Self::lock(path)?, config))
    }

    fn lock(path: &Path) -> anyhow::Result<Self> {
        let name = path.join(LOCK);
        let lock = File::options().create(true).append(true).open(&name);
        let lock = lock.map_err(|error| cannot_write(&name, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Mistake::error(format!("another process is at work in {}; end it first", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(cannot_write(&name, &error)),
        }
    }

    /// Writes the configuration, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, config: &RunConfig) -> anyhow::Result<()> {
        let path = self.path.join(CONFIG);
        let mut text = serde_json::to_string_pretty(config)?;
        text.push('\n');
        let partial = self.path.join(".config.json");
        let written = fs::write(&partial, text)
            .and_then(|()| File::open(&partial)?.sync_all())
            .and_then(|()| fs::rename(&partial, &path));
        written.with_context(|| format!("write {}", path.display()))
    }

    /// The run's folder itself, where event files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own name, by which people know the run.
    pub fn name(&self) -> String {
        // `.` has a name too once it is spelled out.
        let whole = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
    }

    /// The file of metrics.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The preview after `step` steps.
    pub fn preview(&self, step: u64) -> PathBuf {
        self.path.join(PREVIEWS).join(format!("step-{step:09}.png"))
    }

    /// The checkpoints, of which `keep` stay.
    pub fn checkpoints(&self, keep: usize) -> Checkpoints {
        checkpoints(&self.path, keep)
    }
}

/// Whether there is a run in `path`.
pub fn is_run(path: &Path) -> bool {
    path.join(CONFIG).exists()
}

/// The checkpoints of the run in `path`.
pub fn checkpoints(path: &Path, keep: usize) -> Checkpoints {
    Checkpoints::new(path.join(CHECKPOINTS), keep)
}

/// Reads the configuration of the run in `path`.
///
/// # Errors
/// When there is none or it cannot be read.
pub fn read_config(path: &Path) -> anyhow::Result<RunConfig> {
    let file = path.join(CONFIG);
    let text = fs::read(&file).map_err(|error| {
        Mistake::error(format!("{} is no run: cannot read {}: {error}", path.display(), file.display()))
    })?;
    let unreadable = |error| Mistake::error(format!("{} cannot be read: {error}", file.display()));
    let config: serde_json::Value = serde_json::from_slice(&text).map_err(unreadable)?;
    if config["version"].as_u64().is_some_and(|version| version > RUN_VERSION) {
        return Err(Mistake::error(format!(
            "{} was written by a later release; use that one",
            file.display()
        )));
    }
    serde_json::from_value(config).map_err(unreadable)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Mistake::error(format!("{} cannot be written: {error}", path.display()))
}
