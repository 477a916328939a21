//! A weight file, a `config.json` and an `opt.txt` of any bytes: tensors or a sentence, never a panic, and no memory
//! beyond what a file of that size can hold.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use spadework_checkpoint::{ModelConfig, TrainingOptions, list_tensors, read_tensors};
use tempfile::TempDir;

/// In memory, where there is such a folder.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    folder.expect("a folder can be made")
});

fuzz_target!(|bytes: &[u8]| {
    let _ = ModelConfig::parse(bytes, "config.json");
    for name in ["weights.pth", "weights.safetensors"] {
        let path = file(name, bytes);
        let listed = list_tensors(&path).map(|tensors| tensors.len());
        if let (Ok(tensors), Ok(listed)) = (read_tensors(&path), listed) {
            assert!(tensors.len() <= listed, "{} were read of {listed} that are listed", tensors.len());
        }
    }
    let _ = TrainingOptions::read(&file("opt.txt", bytes));
});

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    fs::write(&path, bytes).expect("a file can be written");
    path
}
