//! Published SPADE checkpoints to a model: PyTorch's names and spectral norm away, options checked against shapes.

mod fold;
mod labels;
mod options;
mod shapes;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use spadework_model::Tensors;

pub use options::{Options, OptionsError, Preset};

use crate::{
    CONFIG_VERSION, CheckpointError, LabelConfig, Model, ModelConfig, TensorMismatch,
    expected::{compare, expected_encoder, expected_generator, verify},
    read_tensors,
};
use fold::{Folded, fold_spectral_norm};
use shapes::Shapes;

/// What to import.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The generator: `latest_net_G.pth`, or safetensors.
    pub weights: PathBuf,
    /// The encoder: `latest_net_E.pth`, or safetensors.
    pub encoder: Option<PathBuf>,
    /// How it was trained, as far as it is known.
    pub options: Options,
    /// The data set's labels; those of the options' preset, or numbered ones, when empty.
    pub labels: Vec<LabelConfig>,
    /// What the model makes.
    pub description: String,
    /// Licence of the weights.
    pub licence: String,
}

/// Reads, folds and verifies a published checkpoint. The model's digest is empty: it belongs to files.
///
/// # Errors
/// When a file cannot be read, options and shapes disagree, or a tensor is missing, unexpected, misshapen or not
/// finite.
pub fn import(request: &ImportRequest) -> Result<Model, CheckpointError> {
    let generator = Network::read(&request.weights)?;
    let shapes = Shapes::of(&generator.tensors, &generator.place)?;
    let mut architecture = request.options.architecture(&shapes)?;
    let encoder = request.encoder.as_deref().map(Network::read).transpose()?;
    if let Some(encoder) = &encoder {
        architecture.encoder = Some(shapes::encoder(&encoder.tensors, &encoder.place)?);
        architecture.check()?;
        encoder.verify(&expected_encoder(&architecture)?)?;
    }
    generator.verify(&expected_generator(&architecture)?)?;
    let labels = match &request.labels[..] {
        [] => labels::labels_of(request.options.preset, &architecture),
        given => given.to_vec(),
    };
    let config = ModelConfig {
        version: CONFIG_VERSION,
        description: request.description.clone(),
        licence: request.licence.clone(),
        provenance: provenance(request),
        architecture,
        labels,
        styles: Vec::new(),
    };
    config.check("the imported model")?;
    let encoder = encoder.map(|encoder| encoder.tensors);
    Ok(Model { config, generator: generator.tensors, encoder, digest: String::new() })
}

/// A network's tensors under their published names, spectral norm folded away.
struct Network {
    place: String,
    tensors: Tensors,
    /// Vectors of the spectral norm that do not fit, by their weights.
    vectors: BTreeMap<String, TensorMismatch>,
}

impl Network {
    fn read(path: &Path) -> Result<Self, CheckpointError> {
        let Folded { tensors, vectors } = fold_spectral_norm(without_module_prefix(read_tensors(path)?))?;
        Ok(Self { place: path.display().to_string(), tensors, vectors })
    }

    fn verify(&self, expected: &BTreeMap<String, Vec<usize>>) -> Result<(), CheckpointError> {
        let mut mismatch = compare(&self.tensors, expected);
        let wrong: BTreeSet<_> = mismatch.misshapen.iter().map(|(name, ..)| name.clone()).collect();
        // Beside a weight of the wrong shape, its vectors say nothing new.
        for (_, vectors) in self.vectors.iter().filter(|(weight, _)| !wrong.contains(*weight)) {
            mismatch.missing.extend(vectors.missing.iter().cloned());
            mismatch.misshapen.extend(vectors.misshapen.iter().cloned());
        }
        if !mismatch.is_empty() {
            return Err(CheckpointError::Tensors { place: self.place.clone(), mismatch });
        }
        verify(&self.tensors, expected, &self.place)
    }
}

/// `DataParallel` puts `module.` before every name.
fn without_module_prefix(tensors: Tensors) -> Tensors {
    if !tensors.keys().all(|name| name.starts_with("module.")) {
        return tensors;
    }
    tensors.into_iter().map(|(name, tensor)| (name["module.".len()..].to_owned(), tensor)).collect()
}

fn provenance(request: &ImportRequest) -> String {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match &request.encoder {
        Some(encoder) => format!("imported from {} and {}", name(&request.weights), name(encoder)),
        None => format!("imported from {}", name(&request.weights)),
    }
}
