//! Which files of a folder are masks: every PNG, or of a Cityscapes folder the label maps alone.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::outcome::{Mistake, unreadable};

/// How Cityscapes' label maps end.
pub const LABEL_IDS: &str = "_labelIds.png";
/// How their instance maps end.
pub const INSTANCE_IDS: &str = "_instanceIds.png";
/// How its other files end that are PNGs too.
const OTHERS: [&str; 3] = [INSTANCE_IDS, "_color.png", "_labelTrainIds.png"];

/// The masks of a folder.
#[derive(Debug, PartialEq, Eq)]
pub struct FolderMasks {
    /// By name.
    pub masks: Vec<PathBuf>,
    /// The kinds of files that were left out, for a sentence; empty if none were.
    pub left_out: String,
}

impl FolderMasks {
    /// Lists the masks of `folder`. Hidden files, such as the `._a.png` that a Mac leaves beside `a.png`, are none.
    ///
    /// # Errors
    /// When the folder cannot be read, or there is no mask in it.
    pub fn list(folder: &Path) -> anyhow::Result<Self> {
        let names = names(folder).map_err(|error| unreadable(folder, &error))?;
        let pngs: Vec<&String> = names.iter().filter(|name| is_png(name)).collect();
        if pngs.is_empty() {
            let inside = names.iter().map(|name| folder.join(name)).find(|path| holds_masks(path));
            return Err(Mistake::error(match inside {
                Some(inside) => format!(
                    "{} holds no .png file, but folders that do; give one of them, such as {}",
                    folder.display(),
                    inside.display()
                ),
                None => format!("{} holds no .png file", folder.display()),
            }));
        }
        let is_cityscapes = pngs.iter().any(|name| name.ends_with(LABEL_IDS));
        let is_mask = |name: &&&String| !is_cityscapes || name.ends_with(LABEL_IDS);
        let masks = pngs.iter().filter(is_mask).map(|name| folder.join(name)).collect();
        let left_out: Vec<String> = OTHERS
            .iter()
            .filter(|end| is_cityscapes && pngs.iter().any(|name| name.ends_with(*end)))
            .map(|end| format!("*{end}"))
            .collect();
        Ok(Self { masks, left_out: left_out.join(", ") })
    }
}

fn is_png(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".png")
}

/// Whether it is a folder with masks in it. One that cannot be read is none.
fn holds_masks(folder: &Path) -> bool {
    folder.is_dir() && names(folder).is_ok_and(|names| names.iter().any(|name| is_png(name)))
}

/// The names of a folder's files that are not hidden, sorted.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // A name that is no Unicode can still be a mask's; it is found by what can be shown of it.
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The name of the instance map that Cityscapes publishes with the label map `mask`.
pub fn instance_ids_of(mask: &OsStr) -> Option<String> {
    mask.to_str()?.strip_suffix(LABEL_IDS).map(|stem| format!("{stem}{}", OTHERS[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &[&str]) -> Result<(Vec<String>, String), String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let listed = FolderMasks::list(folder.path()).map_err(|error| error.to_string())?;
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        Ok((listed.masks.iter().map(name).collect(), listed.left_out))
    }

    #[test]
    fn every_png_that_is_not_hidden_is_a_mask() {
        let (masks, left_out) =
            listed(&["b.PNG", "a.png", "._a.png", ".DS_Store", "notes.txt", "c.jpg"]).unwrap();
        assert_eq!(masks, ["a.png", "b.PNG"]);
        assert_eq!(left_out, "");
        assert!(listed(&["._a.png", "a.jpg"]).unwrap_err().contains("holds no .png file"));
    }

    #[test]
    fn a_folder_of_folders_is_answered_with_one_that_holds_masks() {
        let folder = tempfile::tempdir().unwrap();
        for (city, file) in [("aachen", "a.json"), ("bochum", "a_labelIds.png")] {
            fs::create_dir(folder.path().join(city)).unwrap();
            fs::write(folder.path().join(city).join(file), "").unwrap();
        }
        let refusal = FolderMasks::list(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("give one of them") && refusal.ends_with("bochum"), "{refusal}");
    }

    #[test]
    fn of_a_cityscapes_folder_the_label_ids_are_masks() {
        let kinds = ["_color.png", "_instanceIds.png", "_labelIds.png", "_polygons.json"];
        let files: Vec<String> = ["frankfurt_000000_000294_gtFine", "frankfurt_000000_000576_gtFine"]
            .iter()
            .flat_map(|frame| kinds.map(|kind| format!("{frame}{kind}")))
            .collect();
        let (masks, left_out) = listed(&files.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(masks, [files[2].as_str(), &files[6]]);
        assert_eq!(left_out, "*_instanceIds.png, *_color.png");
        assert_eq!(instance_ids_of(OsStr::new(&masks[0])), Some(files[1].clone()));
        assert_eq!(instance_ids_of(OsStr::new("a.png")), None);
    }
}
