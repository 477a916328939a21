//! How much memory a run needs, told before its first step.
//!
//! Weights are counted exactly: each has its gradient, two moments and, in the generator and encoder, its average.
//! Activations are counted by the tensors that the gradients of a part of a batch need: the features of every residual
//! block, modulation and discriminator layer, with a factor that was measured.

use spadework_model::Architecture;

use crate::{
    networks::{Discriminator, Networks},
    state::{TrainingState, Variables},
};

const F32: u64 = 4;
/// Tensors of a residual block's size that are alive for its gradient, for each channel that enters or leaves. With it the
/// estimate for the landscape network at four images is 0.95 GB, and so is the peak of the process.
const COPIES: f64 = 4.0;

/// Bytes by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, gradients, moments, averages.
    pub weights: u64,
    /// What a forward pass keeps for its gradients.
    pub activations: u64,
}

impl MemoryEstimate {
    /// Everything.
    pub fn total(&self) -> u64 {
        self.weights + self.activations
    }
}

/// What `networks` need for parts of `part` images.
pub fn estimate(networks: &Networks, state: &TrainingState, part: usize) -> MemoryEstimate {
    let averaged = bytes(&state.generator) + state.encoder.as_ref().map_or(0, bytes);
    let weights = 5 * averaged + 4 * bytes(&state.discriminator);
    let generator = generator_cells(&networks.architecture) as f64 * COPIES;
    // The real image and the fake go through the discriminator side by side.
    let discriminator =
        2.0 * discriminator_cells(&networks.architecture, &networks.discriminator) as f64 * COPIES / 2.0;
    let activations = ((generator + discriminator) * part as f64) as u64 * F32;
    MemoryEstimate { weights, activations }
}

fn bytes(variables: &Variables) -> u64 {
    variables.parameters.values().map(|var| var.elem_count() as u64 * F32).sum()
}

/// Channels times cells of what each residual block takes, makes in between, and gives; and of the hidden layers.
fn generator_cells(architecture: &Architecture) -> usize {
    let cells = |stage: &spadework_model::Stage| {
        let widths = stage.input + stage.middle() + stage.output;
        stage.grid.height * stage.grid.width * (widths + architecture.hidden / 4)
    };
    architecture.stages().iter().map(cells).sum()
}

/// Channels times cells of each layer of each scale.
fn discriminator_cells(architecture: &Architecture, discriminator: &Discriminator) -> usize {
    let image = architecture.picture();
    let scale = |scale: usize| {
        let layer = |layer: usize| {
            let halvings = scale + (layer + 1).min(discriminator.layers - 1);
            let width = (discriminator.width << layer).min(512);
            ((image.height >> halvings) + 1) * ((image.width >> halvings) + 1) * width
        };
        (0..discriminator.layers).map(layer).sum::<usize>()
    };
    (0..discriminator.scales).map(scale).sum()
}

/// Bytes for people.
pub fn readable(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// What this machine can still give, where the system says it.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    available_of(&text)
}

fn available_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!(readable(2_340_000), "2 MB");
        assert_eq!(readable(2_340_000_000), "2.3 GB");
    }

    #[test]
    fn the_memory_that_is_left_is_the_system_s_own_estimate() {
        let text = "MemTotal:       24000000 kB\nMemFree:         1000 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available_of(text), Some(20_480_000_000));
        assert_eq!(available_of("nothing"), None);
    }
}
