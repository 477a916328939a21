//! What a preset stands for.

use spadework_model::{Architecture, EncoderArchitecture, Grid, Modulation, Norm, Upsampling};

use super::args::TrainingPreset;
use crate::{
    networks::{ConvNorm, Discriminator, Initialisation, Networks},
    objective::{KlReduction, Objective},
};

/// A preset's networks, losses and rates.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) networks: Networks,
    pub(super) initialisation: Initialisation,
    pub(super) objective: Objective,
    pub(super) lr: f64,
    pub(super) two_time_scales: bool,
    pub(super) freeze_statistics: f64,
}

/// The paper's networks with these masks.
struct Published {
    label_nc: usize,
    unknown_label: bool,
    instance_edges: bool,
    mask: Grid,
    grid: Grid,
    upsampling: Upsampling,
}

const SQUARE: Grid = Grid { height: 256, width: 256 };
const EIGHT: Grid = Grid { height: 8, width: 8 };

/// The defaults of `preset`; without one, the paper's networks with no classes yet.
pub(super) fn defaults(preset: Option<TrainingPreset>) -> Defaults {
    let published = |label_nc, unknown_label, instance_edges| {
        let (mask, grid, upsampling) = (SQUARE, EIGHT, Upsampling::Normal);
        Published { label_nc, unknown_label, instance_edges, mask, grid, upsampling }.defaults()
    };
    match preset {
        Some(TrainingPreset::Coco) => published(182, true, true),
        Some(TrainingPreset::Ade20k) => published(150, true, false),
        Some(TrainingPreset::Facades) => published(13, false, false),
        Some(TrainingPreset::Cityscapes) => Published {
            label_nc: 35,
            unknown_label: false,
            instance_edges: true,
            mask: Grid { height: 256, width: 512 },
            grid: Grid { height: 4, width: 8 },
            upsampling: Upsampling::More,
        }
        .defaults(),
        Some(TrainingPreset::Landscape) => landscape(),
        None => published(0, false, false),
    }
}

impl Published {
    fn defaults(self) -> Defaults {
        Defaults {
            networks: Networks {
                architecture: Architecture {
                    label_nc: self.label_nc,
                    unknown_label: self.unknown_label,
                    instance_edges: self.instance_edges,
                    mask: self.mask,
                    grid: self.grid,
                    upsampling: self.upsampling,
                    ngf: 64,
                    hidden: 128,
                    kernel: 3,
                    norm: Norm::SyncBatch,
                    modulation: Modulation::PerLayer,
                    z_dim: None,
                    noise: false,
                    encoder: None,
                },
                generator_spectral: true,
                encoder_norm: ConvNorm::default(),
                discriminator: Discriminator::default(),
            },
            initialisation: Initialisation::Published,
            objective: Objective::default(),
            lr: 2e-4,
            two_time_scales: true,
            freeze_statistics: 0.0,
        }
    }
}

/// A small network on a CPU, with what the published one lacks: noise as the source of texture, and an encoder that
/// keeps the colour. See `service/models/landscape/README.md`.
fn landscape() -> Defaults {
    Defaults {
        networks: Networks {
            architecture: Architecture {
                label_nc: 14,
                unknown_label: false,
                instance_edges: false,
                mask: SQUARE,
                grid: EIGHT,
                upsampling: Upsampling::Normal,
                ngf: 16,
                hidden: 64,
                kernel: 3,
                norm: Norm::Batch,
                modulation: Modulation::PerLayer,
                z_dim: Some(64),
                noise: true,
                encoder: Some(EncoderArchitecture::Color { width: 32 }),
            },
            generator_spectral: true,
            encoder_norm: ConvNorm::default(),
            discriminator: Discriminator { width: 32, ..Discriminator::default() },
        },
        initialisation: Initialisation::Default,
        objective: Objective {
            feature_matching: 5.0,
            low_resolution: 5.0,
            kl: 0.01,
            kl_reduction: KlReduction::Groups(1),
            ..Objective::default()
        },
        lr: 2e-4,
        two_time_scales: true,
        freeze_statistics: 0.25,
    }
}
