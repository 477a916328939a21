//! A model directory on its way: written under a hidden name beside its place, so that it appears whole or not at all.
//!
//! A process that is killed leaves its folder behind, and the next one to write beside it takes it away. Which folders
//! are still written is told by locks on their configurations: the system releases those of a process that is gone.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Write as _},
    path::Path,
};

use tempfile::TempDir;

use crate::{
    CheckpointError,
    error::io_error,
    layout::{CONFIG, GENERATOR},
};

/// What the names of these folders begin with.
const PREFIX: &str = ".spadework-partial-";

/// A folder with a configuration in it, for the weights to be written to. Dropped unfinished, it is removed.
pub(crate) struct Partial {
    folder: TempDir,
    /// The configuration, locked until the folder is in its place or gone.
    _lock: File,
}

impl Partial {
    /// Begins a folder in `parent`, after removing those that nobody writes any more.
    pub(crate) fn begin(parent: &Path, config: &str) -> Result<Self, CheckpointError> {
        remove_abandoned(parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(parent)
            .map_err(io_error("create a folder in", parent))?;
        let path = folder.path().join(CONFIG);
        let mut file = File::create(&path).map_err(io_error("create", &path))?;
        // Where files cannot be locked nobody can lock this one either, and abandoned folders stay.
        let _ = file.try_lock_shared();
        file.write_all(config.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error("write", &path))?;
        Ok(Self { folder, _lock: file })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder its name, which must be free.
    pub(crate) fn finish(self, directory: &Path) -> Result<(), CheckpointError> {
        fs::rename(self.path(), directory).map_err(io_error("create", directory))?;
        // It has been renamed away; there is nothing left to clean up.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// What cannot be read or removed, another user's for example, is left: it keeps nobody from writing beside it.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(is_partial) {
        let _ = remove_if_abandoned(&entry.path());
    }
}

fn is_partial(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type().is_ok_and(|of| of.is_dir())
}

fn remove_if_abandoned(folder: &Path) -> io::Result<()> {
    // A folder without weights may not be locked yet. Should it stay, it has next to nothing in it.
    fs::metadata(folder.join(GENERATOR))?;
    let config = File::options().read(true).write(true).open(folder.join(CONFIG))?;
    config.try_lock()?;
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_is_being_written_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let begin = || Partial::begin(parent.path(), "{}").unwrap();
        let with_weights = || {
            let partial = begin();
            fs::write(partial.path().join(GENERATOR), "weights").unwrap();
            partial
        };
        let (written, begun, dead) = (with_weights(), begin(), with_weights());
        // What the end of a process does: the lock goes, the folder stays.
        let Partial { folder, _lock } = dead;
        let dead = folder.keep();
        drop(_lock);
        let foreign = parent.path().join(".models");
        fs::create_dir(&foreign).unwrap();
        for file in [CONFIG, GENERATOR] {
            fs::write(foreign.join(file), "").unwrap();
        }

        let next = begin();
        assert!(!dead.exists());
        assert!(foreign.join(GENERATOR).exists(), "only partial folders are removed");
        begun.finish(&parent.path().join("begun")).unwrap();
        written.finish(&parent.path().join("written")).unwrap();
        drop(next);
        let mut left: Vec<_> =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".models", "begun", "written"]);
    }
}
