//! Published SPADE checkpoints to a model: PyTorch's names and spectral norm away, options checked against shapes.

mod fold;
mod labels;
mod options;
mod shapes;

use std::path::{Path, PathBuf};

use spadework_model::Tensors;

pub use options::{Options, OptionsError, Preset};

use crate::{
    CONFIG_VERSION, CheckpointError, LabelConfig, Model, ModelConfig,
    expected::{expected_encoder, expected_generator, verify},
    read_tensors,
};
use fold::fold_spectral_norm;
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
    let generator = read_network(&request.weights)?;
    let place = request.weights.display().to_string();
    let shapes = Shapes::of(&generator, &place)?;
    let mut architecture = request.options.architecture(&shapes)?;
    let encoder = request.encoder.as_deref().map(read_network).transpose()?;
    if let (Some(encoder), Some(path)) = (&encoder, &request.encoder) {
        architecture.encoder = Some(shapes::encoder(encoder, &path.display().to_string())?);
        architecture.check()?;
        verify(encoder, &expected_encoder(&architecture)?, &path.display().to_string())?;
    }
    verify(&generator, &expected_generator(&architecture)?, &place)?;
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
    Ok(Model { config, generator, encoder, digest: String::new() })
}

fn read_network(path: &Path) -> Result<Tensors, CheckpointError> {
    fold_spectral_norm(without_module_prefix(read_tensors(path)?))
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
