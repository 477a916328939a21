//! The random numbers of a run: functions of the seed, the place in the data, and the use; never of time, threads or
//! how many processes share the work.

use candle_core::{Device, Result, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use spadework_model::{Architecture, Grid};

use crate::step::Draws;

/// What numbers are for. The values are stored in no file, but a change of one changes every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Use {
    /// The fake of the generator's step.
    Generator = 1,
    /// The fake of the discriminator's step.
    Discriminator = 2,
    /// Images that are shown.
    Preview = 3,
    /// Statistics that are estimated again.
    Statistics = 4,
}

/// The draws for the samples at `positions`, each with its own.
///
/// # Errors
/// When there is no memory for them.
pub fn draws(
    architecture: &Architecture,
    seed: u64,
    positions: std::ops::Range<u64>,
    what_for: Use,
    device: &Device,
) -> Result<Draws> {
    let count = (positions.end - positions.start) as usize;
    let planes = architecture.noise_planes();
    let mut eps = Vec::with_capacity(count * architecture.z_dim.unwrap_or(0));
    let mut noise: Vec<Vec<f32>> =
        planes.iter().map(|grid| Vec::with_capacity(count * cells(*grid))).collect();
    for position in positions {
        let mut numbers = Numbers { key: [seed, position, what_for as u64], stream: 0 };
        eps.extend(numbers.next(architecture.z_dim.unwrap_or(0)));
        for (plane, grid) in noise.iter_mut().zip(&planes) {
            plane.extend(numbers.next(cells(*grid)));
        }
    }
    let eps = architecture.z_dim.map(|z_dim| Tensor::from_vec(eps, (count, z_dim), device)).transpose()?;
    let noise = noise.into_iter().zip(&planes);
    let noise =
        noise.map(|(plane, grid)| Tensor::from_vec(plane, (count, 1, grid.height, grid.width), device));
    Ok(Draws { eps, noise: noise.collect::<Result<_>>()? })
}

fn cells(grid: Grid) -> usize {
    grid.height * grid.width
}

/// Streams of one sample: the latent's, then one for each plane.
struct Numbers {
    key: [u64; 3],
    stream: u64,
}

impl Numbers {
    /// `count` standard normal numbers of the next stream.
    fn next(&mut self, count: usize) -> Vec<f32> {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(self.key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut numbers = ChaCha8Rng::from_seed(seed);
        numbers.set_stream(self.stream);
        self.stream += 1;
        (0..count).map(|_| StandardNormal.sample(&mut numbers)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use spadework_model::{Modulation, Norm, Upsampling};

    use super::*;

    pub(crate) fn architecture() -> Architecture {
        let grid = Grid { height: 1, width: 2 };
        Architecture {
            label_nc: 3,
            unknown_label: false,
            instance_edges: false,
            mask: Grid { height: 32, width: 64 },
            grid,
            upsampling: Upsampling::Normal,
            ngf: 1,
            hidden: 2,
            kernel: 3,
            norm: Norm::Batch,
            modulation: Modulation::PerLayer,
            z_dim: Some(4),
            noise: true,
            encoder: None,
        }
    }

    fn values(draws: &Draws, image: usize) -> Vec<f32> {
        let latent = draws.eps.as_ref().unwrap().get(image).unwrap();
        let planes = draws.noise.iter().map(|plane| plane.get(image).unwrap());
        let all = [latent].into_iter().chain(planes);
        all.flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    }

    #[test]
    fn a_sample_s_numbers_do_not_depend_on_how_samples_are_shared_out() {
        let of = |positions| draws(&architecture(), 7, positions, Use::Generator, &Device::Cpu).unwrap();
        assert_eq!(values(&of(4..8), 2), values(&of(6..7), 0));
        assert_ne!(values(&of(4..8), 2), values(&of(4..8), 3));
        assert_eq!(of(0..3).noise.len(), 7);
    }

    #[test]
    fn uses_and_seeds_have_numbers_of_their_own() {
        let of =
            |seed, what_for| values(&draws(&architecture(), seed, 0..1, what_for, &Device::Cpu).unwrap(), 0);
        assert_ne!(of(7, Use::Generator), of(7, Use::Discriminator));
        assert_ne!(of(7, Use::Generator), of(8, Use::Generator));
    }
}
