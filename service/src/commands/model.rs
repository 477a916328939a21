//! `--model`: a name or a directory, to a model in memory.

use std::{fs, path::Path};

use clap::Args;
use spadework_checkpoint::is_model_directory;

use crate::{
    compute::{ComputeArgs, cores},
    embedded::LANDSCAPE,
    library::{Library, LibraryArgs, ModelRoot, ModelRoots},
    logging,
    outcome::{Mistake, several},
    synthesis::ServedModel,
};

/// Which model, and where to run it.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A model directory, or the name of a model in --models or in the binary; the embedded one without it
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

impl ModelArgs {
    /// `--model` as it was typed.
    pub fn given(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Threads of the engine on a CPU.
    pub fn threads(&self) -> usize {
        match self.compute.threads {
            0 => cores(),
            threads => threads,
        }
    }

    /// Loads it on the one device asked for.
    ///
    /// # Errors
    /// When there is no such model, or it cannot be used.
    pub fn load(&self) -> anyhow::Result<ServedModel> {
        logging::warnings();
        let model = self.given().unwrap_or(LANDSCAPE.name);
        let directory = Path::new(model);
        let mut library = self.library.clone();
        if is_model_directory(directory) {
            library.models = vec![ModelRoots(vec![ModelRoot::Folder(directory.to_owned())])];
        } else if let Some(mistake) = no_model_directory(directory) {
            return Err(mistake);
        }
        let mut library = Library::open(&library).map_err(several)?;
        library.fetch()?;
        let name = match is_model_directory(directory) {
            true => directory.canonicalize()?.file_name().map(|name| name.to_string_lossy().into_owned()),
            false => None,
        };
        let name = name.unwrap_or_else(|| model.to_owned());
        let entry = library.store.entries().into_iter().find(|entry| entry.name() == name);
        let entry = entry.ok_or_else(|| {
            Mistake::error(format!("there is no model `{name}`; there are {}", library.names()))
        })?;
        ServedModel::load(entry, &[self.compute.single()?])
    }
}

/// What is wrong with a `--model` that looks like a path and is no model directory; none for a name.
fn no_model_directory(path: &Path) -> Option<anyhow::Error> {
    let place = path.display();
    let is_path = path.components().count() > 1;
    if !path.exists() {
        return is_path.then(|| Mistake::error(format!("the folder {place} does not exist")));
    }
    if path.is_file() {
        return Some(Mistake::error(format!(
            "{place} is a file, not a model directory; a checkpoint is imported first with `spadework import --weights {place} --out DIR`"
        )));
    }
    let entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let mut models: Vec<String> = entries
        .filter(|entry| is_model_directory(entry))
        .map(|entry| format!("`{}`", entry.display()))
        .collect();
    models.sort();
    Some(Mistake::error(match &models[..] {
        [] if !is_path => return None,
        [] => format!("{place} is no model directory: it has no config.json"),
        models => format!("{place} is a folder of models; give one of them: --model {}", models.join(", ")),
    }))
}
