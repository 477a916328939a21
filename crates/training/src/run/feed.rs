//! Samples to the parts of a step's batch, for one process of several.

use std::{ops::Range, sync::Arc};

use candle_core::{Device, Tensor};
use spadework_model::Architecture;

use super::{
    learning::MicroBatch,
    random::{Use, draws},
};
use crate::{
    data::{Loader, Sample, SampleSource},
    step::Batch,
};

/// How a batch is shared out. Step `s` has the positions `s·batch..(s+1)·batch`; each process has a run of them, and
/// computes it in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Samples of a step over all processes.
    pub batch: usize,
    /// Processes.
    pub world: usize,
    /// This one.
    pub rank: usize,
    /// Samples that are computed at a time.
    pub part: usize,
}

impl Sharing {
    /// Samples of a step in one process.
    fn share(&self) -> usize {
        self.batch / self.world
    }

    /// The position in the data of this process's `local`-th sample.
    fn global(&self, local: u64) -> u64 {
        let (share, batch) = (self.share() as u64, self.batch as u64);
        local / share * batch + self.rank as u64 * share + local % share
    }

    /// The positions of the parts of step `step`.
    fn parts(&self, step: u64) -> impl Iterator<Item = Range<u64>> + use<> {
        let first = self.global(step * self.share() as u64);
        let part = self.part as u64;
        (0..self.share() as u64 / part).map(move |index| first + index * part..first + (index + 1) * part)
    }
}

/// A source seen from one process.
struct Share {
    source: Arc<dyn SampleSource>,
    sharing: Sharing,
}

impl SampleSource for Share {
    fn epoch(&self) -> u64 {
        self.source.epoch()
    }

    fn sample(&self, position: u64) -> anyhow::Result<Sample> {
        self.source.sample(self.sharing.global(position))
    }
}

/// The batches of consecutive steps, made ahead of time.
pub struct Feed {
    loader: Loader,
    architecture: Architecture,
    sharing: Sharing,
    seed: u64,
    device: Device,
    step: u64,
}

impl Feed {
    /// Begins at step `step`, with `threads` threads that make samples.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        source: Arc<dyn SampleSource>,
        architecture: &Architecture,
        sharing: Sharing,
        seed: u64,
        device: Device,
        step: u64,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let ahead = 2 * sharing.share();
        let first = step * sharing.share() as u64;
        let loader = Loader::start(Arc::new(Share { source, sharing }), first, threads, ahead)?;
        Ok(Self { loader, architecture: architecture.clone(), sharing, seed, device, step })
    }

    /// The parts of the next step.
    ///
    /// # Errors
    /// When a sample cannot be made, or does not fit the network.
    pub fn next_step(&mut self) -> anyhow::Result<Vec<MicroBatch>> {
        let parts = self.sharing.parts(self.step).map(|positions| self.part(positions)).collect();
        self.step += 1;
        parts
    }

    fn part(&mut self, positions: Range<u64>) -> anyhow::Result<MicroBatch> {
        let samples =
            positions.clone().map(|_| self.loader.next_sample()).collect::<anyhow::Result<Vec<_>>>()?;
        let batch = batch_of(&samples, &self.device)?;
        let draw = |what_for| draws(&self.architecture, self.seed, positions.clone(), what_for, &self.device);
        Ok(MicroBatch { batch, generator: draw(Use::Generator)?, discriminator: draw(Use::Discriminator)? })
    }
}

/// Samples of one size as tensors, the images on `device`.
///
/// # Errors
/// When they differ in size, or there is none.
pub fn batch_of(samples: &[Sample], device: &Device) -> candle_core::Result<Batch> {
    let Some(first) = samples.first() else { candle_core::bail!("a batch needs a sample") };
    let (n, size) = (samples.len(), first.labels.size());
    let shape = (n, size.height, size.width);
    let labels = samples.iter().flat_map(|sample| sample.labels.ids()).copied().collect();
    let edges: Option<Vec<u8>> = samples
        .iter()
        .map(|sample| sample.edges.as_ref().map(|edges| edges.edges().iter().copied()))
        .collect::<Option<Vec<_>>>()
        .map(|maps| maps.into_iter().flatten().collect());
    let images = samples.iter().flat_map(|sample| planes(sample.image.pixels())).collect();
    let size = first.image.size();
    Ok(Batch {
        labels: Tensor::from_vec(labels, shape, &Device::Cpu)?,
        edges: edges.map(|edges| Tensor::from_vec(edges, shape, &Device::Cpu)).transpose()?,
        images: Tensor::from_vec(images, (n, 3, size.height, size.width), device)?,
    })
}

/// Bytes of pixels to planes of numbers in [-1, 1].
fn planes(pixels: &[u8]) -> Vec<f32> {
    let scaled =
        |channel: usize| pixels.iter().skip(channel).step_by(3).map(|byte| f32::from(*byte) / 127.5 - 1.0);
    (0..3).flat_map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use spadework_imaging::{LabelMap, RgbImage};

    use super::*;

    #[test]
    fn processes_share_a_step_s_positions_without_a_gap_or_a_repeat() {
        let all = |step| {
            let of = |rank| {
                Sharing { batch: 8, world: 2, rank, part: 2 }.parts(step).flatten().collect::<Vec<_>>()
            };
            [of(0), of(1)].concat()
        };
        assert_eq!(all(0), (0..8).collect::<Vec<_>>());
        assert_eq!(all(3), (24..32).collect::<Vec<_>>());
    }

    #[test]
    fn a_process_s_samples_are_those_of_its_parts_in_order() {
        let sharing = Sharing { batch: 6, world: 3, rank: 1, part: 2 };
        let global: Vec<u64> = (0..6).map(|local| sharing.global(local)).collect();
        assert_eq!(global, [2, 3, 8, 9, 14, 15]);
        assert!(sharing.parts(1).eq(std::iter::once(8..10)));
    }

    #[test]
    fn images_are_planes_from_minus_one_to_one() {
        let sample = Sample {
            labels: LabelMap::new(2, 1, vec![3, 1], 4).unwrap(),
            edges: None,
            image: RgbImage::new(2, 1, vec![0, 255, 51, 255, 0, 204]).unwrap(),
        };
        let batch = batch_of(&[sample], &Device::Cpu).unwrap();
        assert_eq!(batch.labels.to_vec3::<u8>().unwrap(), [[[3, 1]]]);
        let images = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = [-1.0, 1.0, 1.0, -1.0, -0.6, 0.6];
        assert!(images.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6), "{images:?}");
        assert!(batch.edges.is_none());
    }
}
