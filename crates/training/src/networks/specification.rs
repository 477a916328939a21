//! Every number and choice that defines the networks of a training run.

use serde::{Deserialize, Serialize};
use spadework_model::{Architecture, EncoderArchitecture};

/// The normalisation after a conv of the encoder or discriminator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// None; the conv keeps its bias.
    None,
    /// Instance norm without parameters.
    #[default]
    Instance,
    /// Batch norm with scale and shift.
    Batch,
    /// Batch norm with scale and shift whose statistics span all processes.
    SyncBatch,
}

/// What surrounds a conv of the encoder or discriminator: `spectralinstance` in the published options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNorm {
    /// Whether the weight is divided by its largest singular value.
    pub spectral: bool,
    /// What follows the conv.
    pub norm: Normalisation,
}

impl Default for ConvNorm {
    fn default() -> Self {
        Self { spectral: true, norm: Normalisation::Instance }
    }
}

/// The multi-scale patch discriminator (paper appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discriminator {
    /// Number of scales, each seeing images of half the size (`num_D`).
    pub scales: usize,
    /// Convs before the last one (`n_layers_D`).
    pub layers: usize,
    /// Channels of the first conv (`ndf`).
    pub width: usize,
    /// Norm of the middle convs (`norm_D`).
    pub norm: ConvNorm,
}

impl Default for Discriminator {
    fn default() -> Self {
        Self { scales: 2, layers: 4, width: 64, norm: ConvNorm::default() }
    }
}

/// All networks of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// The generator and its optional encoder, as `config.json` will describe them.
    pub architecture: Architecture,
    /// Whether the generator's residual convs have spectral norm.
    pub generator_spectral: bool,
    /// Norm of the published encoder's convs (`norm_E`); the color encoder has none.
    #[serde(default)]
    pub encoder_norm: ConvNorm,
    /// The discriminator.
    #[serde(default)]
    pub discriminator: Discriminator,
}

impl Networks {
    /// Norm of the encoder's convs, if there is an encoder.
    pub fn encoder_conv_norm(&self) -> Option<ConvNorm> {
        self.architecture.encoder.map(|encoder| match encoder {
            EncoderArchitecture::Published { .. } => self.encoder_norm,
            EncoderArchitecture::Color { .. } => ConvNorm { spectral: false, norm: Normalisation::None },
        })
    }
}
