//! `metrics.jsonl`: one object for each line of metrics, in the order of steps.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Steps that are done.
    pub step: u64,
    /// Samples that have been seen.
    pub samples: u64,
    /// Time spent in training.
    pub seconds: f64,
    /// Everything else by name: mean losses, rates, images a second, alarms.
    #[serde(flatten)]
    pub values: Map<String, Value>,
}

/// The file, open at its end.
#[derive(Debug)]
pub struct MetricsFile {
    file: File,
}

impl MetricsFile {
    /// Opens the file at `path` for a run that goes on after `step`. Lines of later steps come from a process that
    /// ended before its next checkpoint; the steps will be made again, and so will their lines.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open_after(path: &Path, step: u64) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let kept: String = text.split_inclusive('\n').filter(|line| is_up_to(line, step)).collect();
        if kept.len() != text.len() {
            let partial = path.with_extension("partial");
            fs::write(&partial, kept)?;
            fs::rename(&partial, path)?;
        }
        Ok(Self { file: File::options().create(true).append(true).open(path)? })
    }

    /// Appends a line, in one write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, line: &MetricsLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// A line that was cut off is no line.
fn is_up_to(line: &str, step: u64) -> bool {
    line.ends_with('\n') && serde_json::from_str::<MetricsLine>(line).is_ok_and(|line| line.step <= step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> MetricsLine {
        MetricsLine {
            step,
            samples: step * 4,
            seconds: 1.0,
            values: Map::from_iter([("GAN".to_owned(), 0.5.into())]),
        }
    }

    #[test]
    fn lines_of_steps_that_will_be_made_again_and_halves_of_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open_after(&path, 0).unwrap();
        (1..=4).for_each(|step| file.append(&line(step)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\": 2, \"sam").unwrap();

        let mut file = MetricsFile::open_after(&path, 2).unwrap();
        file.append(&line(3)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<MetricsLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [line(1), line(2), line(3)]);
    }
}
