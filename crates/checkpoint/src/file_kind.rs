//! What a file is that was given as weights, by its first and last bytes.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use crate::{CheckpointError, is_model_directory};

/// Where a tar header has its magic, and where the header ends.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Entries of the tar files that PyTorch wrote before 0.1.10.
const PYTORCH_TAR_ENTRIES: [&str; 4] = ["sys_info", "pickle", "storages", "tensors"];

/// The longest end record of a zip file: 22 bytes and a comment.
const LONGEST_ZIP_END: u64 = 22 + 65_535;

/// Files that are no checkpoints, by their beginning: what they are, and what to do.
const OTHERS: [(&[u8], &str, &str); 16] = [
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    (b"\x89HDF", "an HDF5 file", SAVE),
    (b"\x08\x01\x12", "a protocol buffer, as ONNX and TensorFlow write", SAVE),
    (b"\x93NUMPY", "a NumPy array", SAVE),
    (b"GGUF", "a GGUF file", SAVE),
    (b"\x89PNG", "a PNG image", GIVE),
    (b"\xff\xd8\xff", "a JPEG image", GIVE),
    (b"%PDF", "a PDF", GIVE),
    (b"{", "JSON", GIVE),
    (b"-----", "text", GIVE),
];

const UNPACK: &str = "unpack it first and give the .pth that is in it";
const SAVE: &str = "save the network's `state_dict()` with PyTorch, or as safetensors";
const GIVE: &str = "give the network's .pth or .safetensors file";

/// Refuses what is recognisably no checkpoint, or one that was cut off.
///
/// # Errors
/// With what the file is and what to do instead; or when it cannot be read.
pub(crate) fn check_kind(path: &Path, file: &mut File) -> Result<(), CheckpointError> {
    let (start, length) = start_of(file).map_err(crate::error::io_error("read", path))?;
    let refuse = |what: String, hint: &'static str| {
        Err(CheckpointError::OtherFile { path: path.to_owned(), what, hint })
    };
    if length == 0 {
        return refuse("empty".to_owned(), "copy or download it again");
    }
    if let Some(page) = start_of_page(&start) {
        let what = format!("a web page, not a checkpoint: it begins with `{page}`");
        return refuse(what, "download the file itself");
    }
    if let Some((_, what, hint)) = OTHERS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return refuse((*what).to_owned(), hint);
    }
    if start.iter().all(|byte| *byte == 0) {
        return refuse("all zeros where it begins".to_owned(), "copy or download it again");
    }
    if start.get(TAR_MAGIC) == Some(b"ustar") && !is_pytorch_tar(&start) {
        return refuse("a tar archive".to_owned(), UNPACK);
    }
    if start.starts_with(b"PK\x03\x04") {
        let end = zip_end(file, length).map_err(crate::error::io_error("read", path))?;
        if !end.windows(4).any(|bytes| bytes == b"PK\x05\x06") {
            return Err(CheckpointError::CutOff { path: path.to_owned(), source: None });
        }
    }
    Ok(())
}

/// Refuses a folder, which is no weight file.
///
/// # Errors
/// With what to give instead.
pub(crate) fn check_is_no_folder(path: &Path) -> Result<(), CheckpointError> {
    let (what, hint) = match path {
        path if !path.is_dir() => return Ok(()),
        path if is_model_directory(path) => {
            ("a model directory already", "serve it as it is, or give a weight file")
        }
        _ => ("a folder", GIVE),
    };
    Err(CheckpointError::OtherFile { path: path.to_owned(), what: what.to_owned(), hint })
}

/// The first 512 bytes and the length.
fn start_of(file: &mut File) -> io::Result<(Vec<u8>, u64)> {
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(512).read_to_end(&mut start)?;
    file.rewind()?;
    Ok((start, length))
}

/// What may hold a zip file's end record.
fn zip_end(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_ZIP_END)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    file.rewind()?;
    Ok(end)
}

/// The first word of an HTML or XML page.
fn start_of_page(start: &[u8]) -> Option<String> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let is_page = text.first() == Some(&b'<')
        && text.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || b"!?".contains(byte));
    let word = text.split(|byte| b"\r\n>".contains(byte)).next().unwrap_or_default();
    is_page.then(|| String::from_utf8_lossy(&word[..word.len().min(20)]).into_owned())
}

fn is_pytorch_tar(start: &[u8]) -> bool {
    let name = start.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    PYTORCH_TAR_ENTRIES.contains(&name.trim_start_matches("./"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.pth");
        fs::write(&path, bytes).unwrap();
        check_kind(&path, &mut File::open(&path).unwrap()).unwrap_err().to_string()
    }

    fn tar(entry: &str) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..entry.len()].copy_from_slice(entry.as_bytes());
        bytes[TAR_MAGIC].copy_from_slice(b"ustar");
        bytes
    }

    #[test]
    fn what_people_download_by_mistake_is_named() {
        for (bytes, parts) in [
            (&b"<!DOCTYPE html>\n<html>"[..], ["web page", "`<!DOCTYPE html`"]),
            (b"\n<html lang=\"en\"><head>", ["web page", "`<html lang=\"en\"`"]),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", ["web page", "`<?xml version=\"1.0\""]),
            (b"\x1f\x8b\x08\0\0", ["gzip archive", "unpack it first"]),
            (b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS pointer", "git lfs pull"]),
            (b"", ["empty", "download it again"]),
            (&[0; 700], ["all zeros", "download it again"]),
            (b"PK\x03\x04\0\0 and then nothing", ["cut off", "download it again"]),
            (&tar("checkpoints/latest_net_G.pth"), ["tar archive", "unpack it first"]),
        ] {
            let text = refusal(bytes);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn a_folder_is_no_weight_file() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = || check_is_no_folder(folder.path()).unwrap_err().to_string();
        assert!(refusal().contains("is a folder; give the network's .pth"), "{}", refusal());
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert!(refusal().contains("is a model directory already"), "{}", refusal());
        assert!(check_is_no_folder(&folder.path().join("weights.pth")).is_ok());
    }

    #[test]
    fn pytorch_s_own_tar_is_no_archive_to_unpack() {
        assert!(is_pytorch_tar(&tar("sys_info")));
        assert!(!is_pytorch_tar(&tar("latest_net_G.pth")));
    }
}
