//! Checkpoints: everything that a run's future depends on, in one safetensors file that appears whole or not at all.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::record::MetricsWindow;

/// What precedes the step in a file's name.
const PREFIX: &str = "step-";
/// What follows it.
const SUFFIX: &str = ".safetensors";
/// Where a file grows before it has its name. A killed process may leave it behind.
const PARTIAL: &str = ".partial";
/// The header's entry for [`Position`].
const POSITION: &str = "position";

/// Where a run is. Random numbers are functions of the seed and the step, so this is their state too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Steps that are done.
    pub step: u64,
    /// Time spent on them.
    pub seconds: f64,
    /// Losses since the last line of metrics.
    pub window: MetricsWindow,
}

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFileError {
    /// The file system.
    #[error("{action} {}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Tensors that cannot be stored.
    #[error("write {}", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The file is not what was written.
    #[error("{} is no whole checkpoint: {reason}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The folder of a run's checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// In `folder`, of which the newest `keep` stay.
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self { folder, keep: keep.max(1) }
    }

    /// Writes a checkpoint, makes it durable, gives it its name, and removes the oldest.
    ///
    /// # Errors
    /// When the disk does not take it; the earlier checkpoints are as they were.
    pub fn write(
        &self,
        position: &Position,
        tensors: &[(String, Tensor)],
    ) -> Result<PathBuf, CheckpointFileError> {
        let partial = self.folder.join(PARTIAL);
        let written = self.write_partial(&partial, position, tensors);
        if written.is_err() {
            // The disk may be full: give back what the attempt took. That it is gone already is fine.
            let _ = fs::remove_file(&partial);
        }
        written?;
        let path = self.path(position.step);
        fs::rename(&partial, &path).map_err(failed("create", &path))?;
        sync(&self.folder)?;
        self.prune()?;
        Ok(path)
    }

    fn write_partial(
        &self,
        partial: &Path,
        position: &Position,
        tensors: &[(String, Tensor)],
    ) -> Result<(), CheckpointFileError> {
        let text = serde_json::to_string(position)
            .map_err(|error| failed("write", partial)(io::Error::other(error)))?;
        let metadata = HashMap::from([(POSITION.to_owned(), text)]);
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        safetensors::serialize_to_file(tensors, Some(metadata), partial)
            .map_err(|source| CheckpointFileError::Store { path: partial.to_owned(), source })?;
        sync(partial)
    }

    /// The newest whole checkpoint, with a sentence for each newer one that is not.
    ///
    /// # Errors
    /// When the folder cannot be read, or there are checkpoints and none is whole.
    pub fn newest(&self) -> Result<(Option<Stored>, Vec<String>), CheckpointFileError> {
        let mut passed_over = Vec::new();
        let mut last = None;
        for (_, path) in self.list()?.into_iter().rev() {
            match Stored::read(&path) {
                Ok(stored) => return Ok((Some(stored), passed_over)),
                Err(error) => {
                    passed_over.push(error.to_string());
                    last = Some(error);
                }
            }
        }
        last.map_or(Ok((None, passed_over)), Err)
    }

    /// The checkpoints by step, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointFileError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let path = entry.map_err(failed("read", &self.folder))?.path();
            found.extend(step_of(&path).map(|step| (step, path)));
        }
        found.sort();
        Ok(found)
    }

    /// Removes what writers that were killed have left.
    ///
    /// # Errors
    /// When the folder cannot be read or changed.
    pub fn remove_partial(&self) -> Result<(), CheckpointFileError> {
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let entry = entry.map_err(failed("read", &self.folder))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    fn prune(&self) -> Result<(), CheckpointFileError> {
        let all = self.list()?;
        let old = all.len().saturating_sub(self.keep);
        all[..old].iter().try_for_each(|(_, path)| fs::remove_file(path).map_err(failed("remove", path)))
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:09}{SUFFIX}"))
    }
}

/// A checkpoint that has been read.
#[derive(Debug)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// Where the run was.
    pub position: Position,
    tensors: HashMap<String, Tensor>,
}

impl Stored {
    /// Reads the file at `path`, onto the CPU.
    ///
    /// # Errors
    /// When it is not there, cut off, or was not written here.
    pub fn read(path: &Path) -> Result<Self, CheckpointFileError> {
        let bytes = fs::read(path).map_err(failed("read", path))?;
        let broken = |reason: String| CheckpointFileError::Broken { path: path.to_owned(), reason };
        SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|entries| entries.get(POSITION));
        let text = text.ok_or_else(|| broken("it does not say where the run was".to_owned()))?;
        let position = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| broken(error.to_string()))?;
        Ok(Self { path: path.to_owned(), position, tensors })
    }

    /// Hands out the tensor called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&mut self, name: &str) -> candle_core::Result<Tensor> {
        let path = self.path.display();
        self.tensors
            .remove(name)
            .ok_or_else(|| candle_core::Error::Msg(format!("{path} has no tensor `{name}`")))
    }

    /// A name that nobody has asked for, if there is one.
    pub fn left_over(&self) -> Option<&str> {
        self.tensors.keys().min().map(String::as_str)
    }
}

fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn sync(path: &Path) -> Result<(), CheckpointFileError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("make durable", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointFileError + use<> {
    let path = path.to_owned();
    move |source| CheckpointFileError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> Position {
        Position { step, seconds: 1.5, window: MetricsWindow::default() }
    }

    fn tensors(value: f32) -> Vec<(String, Tensor)> {
        vec![("p".to_owned(), Tensor::new(&[value, f32::MIN_POSITIVE / 2.0], &Device::Cpu).unwrap())]
    }

    fn checkpoints(folder: &tempfile::TempDir) -> Checkpoints {
        Checkpoints::new(folder.path().to_owned(), 2)
    }

    #[test]
    fn the_newest_is_read_back_bit_for_bit_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(&folder);
        for step in [1, 2, 10] {
            checkpoints.write(&at(step), &tensors(step as f32)).unwrap();
        }
        let (newest, passed_over) = checkpoints.newest().unwrap();
        let mut newest = newest.unwrap();
        assert_eq!((newest.position.clone(), passed_over.len()), (at(10), 0));
        let bits: Vec<u32> =
            newest.take("p").unwrap().to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, [10f32.to_bits(), (f32::MIN_POSITIVE / 2.0).to_bits()]);
        assert_eq!(newest.left_over(), None);
        assert_eq!(checkpoints.list().unwrap().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2, 10]);
    }

    #[test]
    fn a_checkpoint_that_was_cut_off_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(&folder);
        checkpoints.write(&at(1), &tensors(1.0)).unwrap();
        let path = checkpoints.write(&at(2), &tensors(2.0)).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let (newest, passed_over) = checkpoints.newest().unwrap();
        assert_eq!(newest.unwrap().position.step, 1);
        assert!(
            passed_over[0].contains("step-000000002.safetensors is no whole checkpoint"),
            "{passed_over:?}"
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_no_checkpoint_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PARTIAL), b"half").unwrap();
        let checkpoints = checkpoints(&folder);
        assert!(checkpoints.newest().unwrap().0.is_none());
        checkpoints.remove_partial().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
