//! How the process ended, for the one that comes after it to tell: what was counted last is gone with the process, before
//! anybody could read it.

use std::{fs, path::PathBuf};

use spadework_metrics::LastExit;

/// The file that is written when the process begins and when it ends.
pub struct ExitFile(Option<PathBuf>);

impl ExitFile {
    /// Reads how the last process ended, and notes that this one runs. Without a path nothing is known or noted.
    pub fn begin(path: Option<PathBuf>) -> (Self, LastExit) {
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let known =
            |text: String| LastExit::ALL.iter().find(|reason| reason.as_str() == text.trim()).copied();
        let last = text.and_then(known).unwrap_or(LastExit::Unknown);
        let file = Self(path);
        file.write(LastExit::Killed); // so it will be, unless something else is written
        (file, last)
    }

    /// Notes how this one ends.
    pub fn end(&self, reason: LastExit) {
        self.write(reason);
    }

    fn write(&self, reason: LastExit) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = fs::write(path, reason.as_str()) {
            tracing::warn!(path = %path.display(), %error, "how the process ends cannot be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_knows_how_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("exit"));
        let (first, before) = ExitFile::begin(path.clone());
        assert_eq!(before, LastExit::Unknown);
        first.end(LastExit::DeviceLost);
        let (_second, before) = ExitFile::begin(path.clone());
        assert_eq!(before, LastExit::DeviceLost);
        assert_eq!(ExitFile::begin(path).1, LastExit::Killed, "the second said nothing");
        assert_eq!(ExitFile::begin(None).1, LastExit::Unknown);
    }
}
