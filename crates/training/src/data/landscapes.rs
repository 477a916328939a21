//! Procedural landscapes as training pairs, rendered when they are asked for.

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use spadework_checkpoint::LabelConfig;
use spadework_scenery::{CLASSES, Landscape, Mood};

use super::{Sample, SampleSource};

/// An endless source of landscapes: no position repeats another's.
#[derive(Clone, Copy, Debug)]
pub struct Landscapes {
    /// Where the seeds of all positions come from.
    pub seed: u64,
    /// Samples that count as an epoch.
    pub epoch: u64,
    /// Share of samples that are made from a painted label map, 0 to 1.
    pub painted: f64,
}

/// What a sample is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recipe {
    /// The layout's seed.
    pub layout: u64,
    /// The mood.
    pub mood: Mood,
    /// The seed of the mood's variation.
    pub style: u64,
    /// Whether the layout is a painted label map.
    pub painted: bool,
}

impl Landscapes {
    /// The classes as a model's labels.
    pub fn labels() -> Vec<LabelConfig> {
        CLASSES
            .iter()
            .zip(0..)
            .map(|(&(name, color), id)| LabelConfig { id, name: name.to_owned(), color: Some(color) })
            .collect()
    }

    /// The recipe of a position.
    pub fn recipe(&self, position: u64) -> Recipe {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(position);
        Recipe {
            layout: random.next_u64(),
            mood: Mood::ALL[random.random_range(0..Mood::ALL.len())],
            style: random.next_u64(),
            painted: random.random_bool(self.painted),
        }
    }
}

impl Recipe {
    /// The landscape before light falls on it.
    pub fn landscape(&self) -> Landscape {
        if self.painted { Landscape::painted(self.layout) } else { Landscape::of(self.layout) }
    }

    /// The sample.
    pub fn render(&self) -> Sample {
        let landscape = self.landscape();
        Sample { labels: landscape.labels(), edges: None, image: landscape.paint(self.mood, self.style) }
    }
}

impl SampleSource for Landscapes {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn sample(&self, position: u64) -> anyhow::Result<Sample> {
        Ok(self.recipe(position).render())
    }
}
