//! What a generator's tensors say about its architecture.

use spadework_model::{EncoderArchitecture, Tensors};

use crate::CheckpointError;

/// The tensor that tells the base width.
pub(super) const HEAD: &str = "head_0.conv_0.weight";

/// The tensor that tells the start.
pub(super) const FC: &str = "fc.weight";

/// Facts that shapes and names give away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) ngf: usize,
    pub(super) semantic_nc: usize,
    pub(super) hidden: usize,
    pub(super) kernel: usize,
    /// Whether batch norm's running statistics are there.
    pub(super) batch_norm: bool,
    /// Length of the latent and cells of its grid, when the image starts from one.
    pub(super) latent: Option<(usize, usize)>,
    /// Whether there is a fifth up-block.
    pub(super) most: bool,
    pub(super) noise: bool,
    pub(super) shared_modulation: bool,
}

impl Observed {
    pub(super) fn of(generator: &Tensors, place: &str) -> Result<Self, CheckpointError> {
        let dims = |tensor: &'static str, rank: usize| {
            let dims = generator.get(tensor).map(|tensor| tensor.dims()).filter(|dims| dims.len() >= rank);
            dims.ok_or_else(|| CheckpointError::NotAGenerator { place: place.to_owned(), tensor })
        };
        // One of many, so that the loss of one is reported by its name.
        let any = |is: &dyn Fn(&str) -> bool| generator.keys().any(|name| is(name));
        let shared_modulation = generator.contains_key(predictor(true));
        let predictor = dims(predictor(shared_modulation), 4)?;
        let ngf = dims(HEAD, 4)?[0] / 16;
        let fc = dims(FC, 2)?;
        Ok(Self {
            ngf,
            semantic_nc: predictor[1],
            hidden: predictor[0],
            kernel: predictor[2],
            batch_norm: any(&|name| name.ends_with("running_mean")),
            latent: (fc.len() == 2).then(|| (fc[1], fc[0] / (16 * ngf).max(1))),
            most: any(&|name| name.starts_with("up_4.")),
            noise: any(&|name| name.ends_with("noise_w")),
            shared_modulation,
        })
    }

    /// The tensor that tells classes, hidden width and kernel.
    pub(super) fn predictor(&self) -> &'static str {
        predictor(self.shared_modulation)
    }
}

fn predictor(shared_modulation: bool) -> &'static str {
    if shared_modulation { "modulation.mlp_shared.0.weight" } else { "head_0.norm_0.mlp_shared.0.weight" }
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
