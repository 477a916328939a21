//! `SHA256SUMS`: which files make which models. Lines are those of `sha256sum`; files that are no part of a model are
//! passed over.

use std::{collections::BTreeMap, fmt};

use sha2::{Digest as _, Sha256};

/// The manifest's file name.
pub const MANIFEST: &str = "SHA256SUMS";

/// The configuration; every model has one.
pub(crate) const CONFIG: &str = "config.json";
/// What else a model can consist of.
const WEIGHTS: [&str; 2] = ["generator.safetensors", "encoder.safetensors"];

/// The models of a place, each with the digests of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// By name: its path below the place (empty when the place itself is the model), and its files.
    pub(crate) models: BTreeMap<String, ModelFiles>,
}

/// The files of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelFiles {
    pub(crate) folder: Option<String>,
    /// By file name, the SHA-256 in hexadecimal.
    pub(crate) digests: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the manifest of a place: either it is one model, called `name`, or its folders are.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, String> {
        let mut manifest = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (digest, path) =
                entry(line).ok_or_else(|| format!("line {} is not as sha256sum writes it", index + 1))?;
            let (folder, file) = match path.split_once('/') {
                Some((folder, file)) => (Some(folder), file),
                None => (None, path),
            };
            if file != CONFIG && !WEIGHTS.contains(&file) {
                continue;
            }
            let name = folder.unwrap_or(name);
            if !is_model_name(name) {
                return Err(format!("line {}: `{name}` cannot be a model's name", index + 1));
            }
            let files = manifest.models.entry(name.to_owned()).or_default();
            files.folder = folder.map(str::to_owned);
            if files.digests.insert(file.to_owned(), digest).is_some() {
                return Err(format!("{path} is named twice"));
            }
        }
        manifest.check().map(|()| manifest)
    }

    /// The one model of the place's folder `folder`; what lies deeper is left out.
    pub(crate) fn in_folder(mut self, folder: &str) -> Self {
        self.models.retain(|_, files| files.folder.is_none());
        self.models.values_mut().for_each(|files| files.folder = Some(folder.to_owned()));
        self
    }

    /// Takes the models of another place in.
    pub(crate) fn extend(&mut self, other: Self) {
        self.models.extend(other.models);
    }

    fn check(&self) -> Result<(), String> {
        if self.models.is_empty() {
            return Err(format!("it names no {CONFIG}"));
        }
        for (name, files) in &self.models {
            if let Some(missing) =
                [CONFIG, WEIGHTS[0]].into_iter().find(|file| !files.digests.contains_key(*file))
            {
                return Err(format!("model `{name}` has no {missing} in it"));
            }
        }
        Ok(())
    }

    /// Tells contents apart: the same exactly for the same files under the same names.
    pub(crate) fn generation(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.to_string());
        hex(digest)[..16].to_owned()
    }
}

impl fmt::Display for Manifest {
    /// Every model in a folder of its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, files) in &self.models {
            for (file, digest) in &files.digests {
                writeln!(f, "{digest}  {name}/{file}")?;
            }
        }
        Ok(())
    }
}

/// `DIGEST  PATH`, or `DIGEST *PATH` as sha256sum writes it in binary mode; `./` before the path means nothing.
fn entry(line: &str) -> Option<(String, &str)> {
    let (digest, path) = line.trim_end().split_once(' ')?;
    let hexadecimal = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = path.strip_prefix([' ', '*'])?;
    let path = path.strip_prefix("./").unwrap_or(path);
    (hexadecimal && !path.is_empty()).then(|| (digest.to_ascii_lowercase(), path))
}

/// One folder's name, and no hidden one: nothing that leads out of the cache.
pub(crate) fn is_model_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

pub(crate) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(digit: char, path: &str) -> String {
        format!("{}  {path}\n", digit.to_string().repeat(64))
    }

    #[test]
    fn a_place_is_one_model_or_a_folder_of_them() {
        let one = line('a', "config.json") + &line('b', "./generator.safetensors") + &line('c', "README.md");
        let one = Manifest::parse(&one, "mine").unwrap();
        assert_eq!(one.models["mine"].digests.len(), 2);
        assert_eq!(one.models["mine"].folder, None);

        let several = ["x", "y"].map(|name| {
            line('A', &format!("{name}/config.json")) + &line('b', &format!("{name}/generator.safetensors"))
        });
        let several = Manifest::parse(&several.concat(), "unused").unwrap();
        assert_eq!(several.models.keys().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(several.models["x"].digests["config.json"], "a".repeat(64));
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_line() {
        let config = line('a', "config.json");
        for (text, said) in [
            ("<html>".to_owned(), "line 1"),
            (config.clone(), "no generator.safetensors"),
            (String::new(), "no config.json"),
            (config.clone() + &config, "twice"),
            (config.clone() + &line('b', "../config.json"), "cannot be a model's name"),
            (config + &line('b', ".git/config.json"), "cannot be a model's name"),
        ] {
            let error = Manifest::parse(&text, "m").unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_folder_in_a_folder_is_no_model() {
        let deep = line('a', "m/config.json") + &line('b', "m/generator.safetensors");
        let deeper = deep.clone() + &line('c', "m/old/config.json");
        assert_eq!(Manifest::parse(&deep, "m"), Manifest::parse(&deeper, "m"));
    }

    #[test]
    fn a_generation_is_its_content() {
        let text = |digit| line(digit, "config.json") + &line('b', "generator.safetensors");
        let generation = |digit, name| Manifest::parse(&text(digit), name).unwrap().generation();
        assert_eq!(generation('a', "m"), generation('a', "m"));
        assert_ne!(generation('a', "m"), generation('b', "m"));
        assert_ne!(generation('a', "m"), generation('a', "n"));
    }
}
