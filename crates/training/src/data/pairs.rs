//! Which files belong together.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::outcome::Mistake;

/// The files of one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What the files' names have in common.
    pub name: String,
    /// A PNG of class ids.
    pub labels: PathBuf,
    /// A PNG, JPEG or WebP.
    pub image: PathBuf,
    /// A PNG of instance ids.
    pub instances: Option<PathBuf>,
}

/// Pairs, and the files that are no part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Complete ones, by name.
    pub pairs: Vec<Pair>,
    /// Label maps without an image.
    pub without_image: Vec<String>,
    /// Images without a label map.
    pub without_labels: Vec<String>,
    /// Label maps without an instance map, where there should be one.
    pub without_instances: Vec<String>,
}

/// A folder, searched with all its subfolders, and how a file's name becomes its sample's.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
    /// Taken off the end of a file's stem; files without it are others'.
    pub(super) suffix: &'a str,
}

impl Pairs {
    /// Pairs the files of folders by name.
    pub(super) fn find(
        labels: &Folder<'_>,
        images: &Folder<'_>,
        instances: Option<&Folder<'_>>,
    ) -> anyhow::Result<Self> {
        let maps = labels.files(&["png"])?;
        let mut images = images.files(&["png", "jpg", "jpeg", "webp"])?;
        let mut instance_maps = instances.map(|folder| folder.files(&["png"])).transpose()?;
        let mut found = Self::default();
        for (name, labels) in maps {
            let Some(image) = images.remove(&name) else {
                found.without_image.push(name);
                continue;
            };
            let instances = instance_maps.as_mut().map(|maps| maps.remove(&name));
            match instances {
                Some(None) => found.without_instances.push(name),
                instances => {
                    found.pairs.push(Pair { name, labels, image, instances: instances.flatten() });
                }
            }
        }
        found.without_labels.extend(images.into_keys());
        Ok(found)
    }
}

impl Folder<'_> {
    /// Files by sample name.
    fn files(&self, extensions: &[&str]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).with_context(|| format!("list the folder {}", folder.display()));
            for entry in entries.map_err(|error| Mistake::error(format!("{error:#}")))? {
                let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) = self.name(&path, extensions)
                    && let Some(other) = found.insert(name, path.clone())
                {
                    let (one, other) = (path.display(), other.display());
                    return Err(Mistake::error(format!("{one} and {other} have one name; keep one of them")));
                }
            }
        }
        Ok(found)
    }

    fn name(&self, path: &Path, extensions: &[&str]) -> Option<String> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let known = extensions.contains(&extension.as_str());
        let name = path.file_stem()?.to_str()?.strip_suffix(self.suffix)?;
        (known && !name.is_empty()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        root
    }

    #[test]
    fn files_are_paired_by_stem_and_the_others_are_named() {
        let root = folder(&[
            "l/a.png",
            "l/b.png",
            "l/c.png",
            "p/b.jpg",
            "p/c.PNG",
            "p/d.webp",
            "p/notes.txt",
            "i/c.png",
        ]);
        let path = |name| root.path().join(name);
        let (l, p, i) = (path("l"), path("p"), path("i"));
        let folder = |path| Folder { path, suffix: "" };
        let found = Pairs::find(&folder(&l), &folder(&p), Some(&folder(&i))).unwrap();
        let names: Vec<_> = found.pairs.iter().map(|pair| pair.name.as_str()).collect();
        assert_eq!(names, ["c"]);
        assert_eq!(found.pairs[0].instances, Some(i.join("c.png")));
        assert_eq!(found.without_image, ["a"]);
        assert_eq!(found.without_labels, ["d"]);
        assert_eq!(found.without_instances, ["b"]);
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let root = folder(&["x/a.png", "y/a.jpg"]);
        let error = Folder { path: root.path(), suffix: "" }.files(&["png", "jpg"]).unwrap_err();
        assert!(error.to_string().contains("keep one of them"), "{error}");
    }
}
