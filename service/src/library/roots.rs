//! `--models` as it is typed: folders and URLs, separated by colons as in `PATH`.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A place of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRoot {
    /// A model directory, or a folder of them.
    Folder(PathBuf),
    /// The URL of either.
    Url(String),
}

/// One value of `--models`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRoots(pub Vec<ModelRoot>);

impl FromStr for ModelRoots {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let root = |item: &str| match item.contains("://") {
            true => ModelRoot::Url(item.to_owned()),
            false => ModelRoot::Folder(item.into()),
        };
        // A folder's name may have a colon in it.
        if Path::new(text).exists() {
            return Ok(Self(vec![ModelRoot::Folder(text.into())]));
        }
        Ok(Self(split(text).into_iter().filter(|item| !item.is_empty()).map(root).collect()))
    }
}

/// At every colon that is no part of a URL.
fn split(text: &str) -> Vec<&str> {
    let (mut items, mut start) = (Vec::new(), 0);
    for (colon, _) in text.match_indices(':') {
        let (item, rest) = (&text[start..colon], &text[colon + 1..]);
        if !rest.starts_with("//") && !is_port(item, rest) {
            items.push(item);
            start = colon + 1;
        }
    }
    items.push(&text[start..]);
    items
}

/// Whether the colon between them stands between a URL's host and its port.
fn is_port(item: &str, rest: &str) -> bool {
    let host = item.split_once("://").is_some_and(|(_, host)| !host.contains('/'));
    let port = rest.split(['/', ':']).next().unwrap_or_default();
    host && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_may_have_a_colon_in_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with:colon");
        std::fs::create_dir(&path).unwrap();
        let roots: ModelRoots = path.to_str().unwrap().parse().unwrap();
        assert_eq!(roots.0, [ModelRoot::Folder(path)]);
    }

    #[test]
    fn folders_and_urls_are_told_apart() {
        for (text, items) in [
            ("/models", vec!["/models"]),
            ("/a:b", vec!["/a", "b"]),
            ("s3://bucket/models", vec!["s3://bucket/models"]),
            ("/a:s3://b/c:https://h:8443/d:../e", vec!["/a", "s3://b/c", "https://h:8443/d", "../e"]),
            ("https://h:8443:gs://b", vec!["https://h:8443", "gs://b"]),
            ("", vec![]),
        ] {
            let roots: ModelRoots = text.parse().unwrap();
            let shown = roots.0.iter().map(|root| match root {
                ModelRoot::Folder(path) => path.display().to_string(),
                ModelRoot::Url(url) => url.clone(),
            });
            assert_eq!(shown.collect::<Vec<_>>(), items, "{text}");
        }
        assert!(matches!(
            "gs://b:/c".parse::<ModelRoots>().unwrap().0[..],
            [ModelRoot::Url(_), ModelRoot::Folder(_)]
        ));
    }
}
