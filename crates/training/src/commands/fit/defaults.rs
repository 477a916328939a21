//! What a preset stands for.

use spadework_model::{Architecture, EncoderArchitecture, Grid, Modulation, Norm, Upsampling};

use super::args::TrainingPreset;
use crate::{
    data::Preprocess,
    networks::{ConvNorm, Discriminator, Initialisation, Networks},
    objective::{KlReduction, Objective},
    optimizer::Betas,
};

/// A preset's networks, losses, rates and data.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// Whether the paper or its code trained with them: then a run tells where it differs.
    pub(super) published: bool,
    pub(super) preprocess: Preprocess,
    pub(super) batch: usize,
    pub(super) niter: u64,
    pub(super) niter_decay: u64,
    pub(super) networks: Networks,
    pub(super) initialisation: Initialisation,
    pub(super) objective: Objective,
    pub(super) lr: f64,
    pub(super) two_time_scales: bool,
    pub(super) freeze_statistics: f64,
}

/// Adam's betas as the published code has them, with and without two time scales.
pub(super) fn betas(two_time_scales: bool) -> Betas {
    if two_time_scales { Betas { first: 0.0, second: 0.9 } } else { Betas { first: 0.5, second: 0.999 } }
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
        Some(TrainingPreset::Coco) => Defaults { niter: 100, ..published(182, true, true) },
        Some(TrainingPreset::Ade20k) => {
            Defaults { niter: 100, niter_decay: 100, ..published(150, true, false) }
        }
        Some(TrainingPreset::Facades) => Defaults { batch: 1, ..published(13, false, false) },
        Some(TrainingPreset::Cityscapes) => {
            let networks = Published {
                label_nc: 35,
                unknown_label: false,
                instance_edges: true,
                mask: Grid { height: 256, width: 512 },
                grid: Grid { height: 4, width: 8 },
                upsampling: Upsampling::More,
            };
            Defaults { preprocess: Preprocess::Fixed, niter: 100, niter_decay: 100, ..networks.defaults() }
        }
        Some(TrainingPreset::Landscape) => landscape(),
        None => {
            let objective = Objective { perceptual: 0.0, ..Objective::published() };
            Defaults { published: false, batch: 4, objective, ..published(0, false, false) }
        }
    }
}

impl Published {
    fn defaults(self) -> Defaults {
        Defaults {
            published: true,
            preprocess: Preprocess::ResizeAndCrop,
            batch: 32,
            niter: 50,
            niter_decay: 0,
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
            objective: Objective::published(),
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
        published: false,
        preprocess: Preprocess::ResizeAndCrop,
        batch: 4,
        niter: 50,
        niter_decay: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_the_published_settings() {
        let batch_and_epochs = |preset| {
            let defaults = defaults(Some(preset));
            assert!(defaults.published && defaults.two_time_scales && defaults.lr == 2e-4);
            assert_eq!(defaults.objective, Objective::published());
            (defaults.batch, defaults.niter, defaults.niter_decay, defaults.preprocess)
        };
        let crop = Preprocess::ResizeAndCrop;
        assert_eq!(batch_and_epochs(TrainingPreset::Coco), (32, 100, 0, crop));
        assert_eq!(batch_and_epochs(TrainingPreset::Ade20k), (32, 100, 100, crop));
        assert_eq!(batch_and_epochs(TrainingPreset::Cityscapes), (32, 100, 100, Preprocess::Fixed));
        assert_eq!(batch_and_epochs(TrainingPreset::Facades), (1, 50, 0, crop));
        assert!(!defaults(None).published && !defaults(Some(TrainingPreset::Landscape)).published);
    }

    #[test]
    fn betas_go_with_the_time_scales() {
        let numbers = |Betas { first, second }| (first, second);
        assert_eq!(numbers(betas(true)), (0.0, 0.9));
        assert_eq!(numbers(betas(false)), (0.5, 0.999));
    }
}
