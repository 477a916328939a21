//! What a generator's tensors say about its architecture.

use spadework_model::{EncoderArchitecture, Tensors};

use crate::CheckpointError;

/// Facts that shapes and names give away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shapes {
    pub(super) ngf: usize,
    pub(super) semantic_nc: usize,
    pub(super) hidden: usize,
    pub(super) kernel: usize,
    /// Whether batch norm's running statistics are there.
    pub(super) batch_norm: bool,
    /// Length of the latent and cells of its grid, when the picture starts from one.
    pub(super) latent: Option<(usize, usize)>,
    /// Whether there is a fifth up-block.
    pub(super) most: bool,
    pub(super) noise: bool,
    pub(super) shared_modulation: bool,
}

impl Shapes {
    pub(super) fn of(generator: &Tensors, place: &str) -> Result<Self, CheckpointError> {
        let dims = |tensor: &'static str, rank: usize| {
            let dims = generator.get(tensor).map(|tensor| tensor.dims()).filter(|dims| dims.len() >= rank);
            dims.ok_or_else(|| CheckpointError::NotAGenerator { place: place.to_owned(), tensor })
        };
        let shared_modulation = generator.contains_key("modulation.mlp_shared.0.weight");
        let predictor = if shared_modulation {
            dims("modulation.mlp_shared.0.weight", 4)?
        } else {
            dims("head_0.norm_0.mlp_shared.0.weight", 4)?
        };
        let ngf = dims("head_0.conv_0.weight", 4)?[0] / 16;
        let fc = dims("fc.weight", 2)?;
        Ok(Self {
            ngf,
            semantic_nc: predictor[1],
            hidden: predictor[0],
            kernel: predictor[2],
            batch_norm: generator.contains_key("head_0.norm_0.param_free_norm.running_mean"),
            latent: (fc.len() == 2).then(|| (fc[1], fc[0] / (16 * ngf).max(1))),
            most: generator.contains_key("up_4.conv_0.weight"),
            noise: generator.contains_key("head_0.noise_w"),
            shared_modulation,
        })
    }
}

/// Which encoder the tensors are of.
pub(super) fn encoder(tensors: &Tensors, place: &str) -> Result<EncoderArchitecture, CheckpointError> {
    let width = |name: &str| tensors.get(name).and_then(|tensor| tensor.dims().first().copied());
    if let Some(width) = width("layer1.0.weight") {
        return Ok(EncoderArchitecture::Published { width });
    }
    match width("layers.0.weight") {
        Some(width) => Ok(EncoderArchitecture::Color { width }),
        None => Err(CheckpointError::Contradiction {
            place: place.to_owned(),
            reason: "it is not a style encoder: there is no tensor `layer1.0.weight`".to_owned(),
        }),
    }
}
