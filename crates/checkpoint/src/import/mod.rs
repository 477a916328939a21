//! Published SPADE checkpoints to a model: PyTorch's names and spectral norm away, options checked against shapes.

mod fold;
mod labels;
mod observed;
mod options;
mod prefix;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use spadework_model::{Architecture, Tensors};

pub use options::{Preset, TrainingOptions, TrainingOptionsError};

use crate::{
    CONFIG_VERSION, CheckpointError, LabelConfig, Model, ModelConfig, TensorMismatch,
    expected::{compare, expected_encoder, expected_generator, verify},
    file_tensors::{list_tensors, read_chosen},
};
use fold::{Folded, fold_spectral_norm};
use observed::Observed;
use prefix::{NetworkKind, names_under};

/// What to import.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// The generator: `latest_net_G.pth`, or safetensors.
    pub weights: PathBuf,
    /// What stands before the generator's names in that file; found out when there is only one.
    pub prefix: Option<String>,
    /// The encoder: `latest_net_E.pth`, or safetensors.
    pub encoder: Option<PathBuf>,
    /// What stands before the encoder's names in that file; found out when there is only one.
    pub encoder_prefix: Option<String>,
    /// How it was trained, as far as it is known.
    pub options: TrainingOptions,
    /// The data set's labels; those of the options' preset, or numbered ones, when empty.
    pub labels: Vec<LabelConfig>,
    /// What the model makes.
    pub description: String,
    /// Licence of the weights.
    pub licence: String,
}

/// What was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model. Its digest is empty: it belongs to files.
    pub model: Model,
    /// What was found, left out and assumed, a sentence each.
    pub notes: Vec<String>,
}

/// Reads, folds and verifies a published checkpoint.
///
/// # Errors
/// When a file cannot be read, holds several networks or none, options and shapes disagree, or a tensor is missing,
/// unexpected, misshapen or not finite.
pub fn import(request: &ImportRequest) -> Result<Imported, CheckpointError> {
    let generator = StoredNetwork::read(&request.weights, NetworkKind::Generator, request.prefix.as_deref())?;
    let observed = Observed::of(&generator.tensors, &generator.place)?;
    let mut architecture = request.options.architecture(&observed)?;
    let read_encoder =
        |path: &Path| StoredNetwork::read(path, NetworkKind::Encoder, request.encoder_prefix.as_deref());
    let encoder = request.encoder.as_deref().map(read_encoder).transpose()?;
    if let Some(encoder) = &encoder {
        architecture.encoder = Some(observed::encoder(&encoder.tensors, &encoder.place)?);
        architecture.check()?;
        encoder.verify(&expected_encoder(&architecture)?)?;
    }
    generator.verify(&expected_generator(&architecture)?)?;
    let mut notes: Vec<String> = generator.note().into_iter().collect();
    notes.extend(encoder.as_ref().and_then(StoredNetwork::note));
    if encoder.is_none() {
        notes.extend(generator.note_of_encoder());
    }
    notes.extend(request.options.assumed(&observed, &architecture));
    let config = config(request, architecture);
    config.check("the imported model")?;
    let encoder = encoder.map(|encoder| encoder.tensors);
    let model = Model { config, generator: generator.tensors, encoder, digest: String::new() };
    Ok(Imported { model, notes })
}

fn config(request: &ImportRequest, architecture: Architecture) -> ModelConfig {
    let labels = match &request.labels[..] {
        [] => labels::labels_of(request.options.preset, &architecture),
        given => given.to_vec(),
    };
    ModelConfig {
        version: CONFIG_VERSION,
        description: request.description.clone(),
        licence: request.licence.clone(),
        provenance: provenance(request),
        architecture,
        labels,
        styles: Vec::new(),
    }
}

/// A network of a file: its tensors under their published names, spectral norm folded away.
struct StoredNetwork {
    place: String,
    kind: NetworkKind,
    /// What stood before its names.
    prefix: String,
    /// Tensors of the file that are not the network's.
    left_out: usize,
    /// What stands before each style encoder's names in the same file.
    encoders: Vec<String>,
    tensors: Tensors,
    /// Vectors of the spectral norm that do not fit, by their weights.
    vectors: BTreeMap<String, TensorMismatch>,
}

impl StoredNetwork {
    fn read(path: &Path, kind: NetworkKind, chosen: Option<&str>) -> Result<Self, CheckpointError> {
        let place = path.display().to_string();
        let names: Vec<String> = list_tensors(path)?.into_iter().map(|tensor| tensor.name).collect();
        let all = || names.iter().map(String::as_str);
        let prefix = choose_prefix(&place, kind, kind.prefixes(all()), chosen)?;
        let own = names_under(all(), &prefix);
        let read = read_chosen(path, |name| own.contains_key(name))?;
        let renamed = read.into_iter().map(|(name, tensor)| (own[&name].clone(), tensor)).collect();
        let Folded { tensors, vectors } = fold_spectral_norm(renamed)?;
        Ok(Self {
            place,
            kind,
            prefix,
            left_out: names.len() - own.len(),
            encoders: NetworkKind::Encoder.prefixes(all()),
            tensors,
            vectors,
        })
    }

    /// Where it was found, if that is not plain.
    fn note(&self) -> Option<String> {
        let Self { place, kind, prefix, left_out, .. } = self;
        let rest = match left_out {
            0 => String::new(),
            1 => "; the file's other tensor is left out".to_owned(),
            _ => format!("; the file's other {left_out} tensors are left out"),
        };
        (!prefix.is_empty()).then(|| format!("found the {} under `{prefix}` in {place}{rest}", kind.name()))
    }

    /// That the file holds a style encoder too.
    fn note_of_encoder(&self) -> Option<String> {
        let prefix = self.encoders.first()?;
        Some(format!(
            "{} also holds a style encoder under `{prefix}`; give the file as --encoder too to import it",
            self.place
        ))
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

/// The prefix to read: the only one, or the one that was chosen among those found.
fn choose_prefix(
    place: &str,
    kind: NetworkKind,
    found: Vec<String>,
    chosen: Option<&str>,
) -> Result<String, CheckpointError> {
    if let Some(chosen) = chosen {
        let dotted = format!("{}.", chosen.trim_end_matches('.'));
        return found.iter().find(|prefix| **prefix == chosen || **prefix == dotted).cloned().ok_or_else(
            || {
                let (place, prefix) = (place.to_owned(), chosen.to_owned());
                CheckpointError::NoSuchPrefix { place, network: kind.name(), prefix, found: found.clone() }
            },
        );
    }
    match &found[..] {
        // What is missing is named when the tensors are looked at.
        [] => Ok(String::new()),
        [prefix] => Ok(prefix.clone()),
        _ => Err(CheckpointError::SeveralNetworks {
            place: place.to_owned(),
            network: kind.name(),
            prefixes: found,
            flag: kind.flag(),
        }),
    }
}

fn provenance(request: &ImportRequest) -> String {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match &request.encoder {
        Some(encoder) => format!("imported from {} and {}", name(&request.weights), name(encoder)),
        None => format!("imported from {}", name(&request.weights)),
    }
}
