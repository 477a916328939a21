//! The pairs that a model is measured on, and what it has never seen of them.

use std::{collections::BTreeSet, sync::Arc};

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use spadework_imaging::{LabelMap, RgbImage};
use spadework_scenery::Mood;

use super::low_pass::LowPass;
use crate::data::{Landscapes, Recipe, Sample, SampleSource};

/// A pair to measure on.
pub struct HeldOut {
    /// Mask and real image.
    pub sample: Sample,
    /// The mask with its classes exchanged for one another, the control.
    pub shuffled: LabelMap,
    /// Another real image, of another mask.
    pub other: RgbImage,
    /// What only a renderer knows.
    pub rendered: Option<Rendered>,
}

/// Real images that only a renderer can make.
pub struct Rendered {
    /// The sample's mask in its mood, with another variation of it.
    pub same_mood: RgbImage,
    /// The sample's mask in a mood drawn by chance.
    pub any_mood: RgbImage,
    /// Another mask in exactly the sample's style.
    pub reference: RgbImage,
    /// The colours of the sample's mask in every mood, and which of them is the sample's.
    pub moods: Vec<LowPass>,
    /// The sample's place in `moods`.
    pub mood: usize,
}

impl HeldOut {
    /// `count` landscapes of a seed, laid out as land is or from masks as people paint them.
    pub fn landscapes(seed: u64, count: u64, painted: bool) -> Vec<Self> {
        let source = Landscapes { seed, epoch: count, painted: f64::from(u8::from(painted)) };
        (0..count).into_par_iter().map(|position| Self::landscape(&source, position)).collect()
    }

    fn landscape(source: &Landscapes, position: u64) -> Self {
        let recipe = source.recipe(position);
        // Positions from the far end are never samples themselves.
        let other = source.recipe(u64::MAX - position);
        let landscape = recipe.landscape();
        let Recipe { mood, style, .. } = recipe;
        let reference = other.landscape();
        let mut in_moods = Mood::ALL.map(|mood| landscape.paint(mood, style)).to_vec();
        let own = Mood::ALL.iter().position(|one| *one == mood).unwrap_or_default();
        let rendered = Rendered {
            same_mood: landscape.paint(mood, other.style),
            any_mood: landscape.paint(other.mood, other.style),
            reference: reference.paint(mood, style),
            moods: in_moods.iter().map(LowPass::of).collect(),
            mood: own,
        };
        let labels = landscape.labels();
        let image = in_moods.swap_remove(own);
        let sample = Sample { labels, edges: None, image };
        let shuffled = shuffled(&sample.labels, style);
        Self { shuffled, other: reference.paint(other.mood, other.style), sample, rendered: Some(rendered) }
    }

    /// Twice `count` samples of a source from a position on: the first half to measure on, the others beside them.
    ///
    /// # Errors
    /// The source's.
    pub fn samples(source: &Arc<dyn SampleSource>, from: u64, count: u64) -> anyhow::Result<Vec<Self>> {
        let held_out = (from..from + count).into_par_iter().map(|position| {
            let sample = source.sample(position)?;
            let other = source.sample(position + count)?.image;
            Ok(Self { shuffled: shuffled(&sample.labels, position), sample, other, rendered: None })
        });
        held_out.collect()
    }
}

/// The map with its classes exchanged, each for another one that is in it; a map of one class gets another class.
fn shuffled(labels: &LabelMap, seed: u64) -> LabelMap {
    let present: BTreeSet<u8> = labels.ids().iter().copied().collect();
    let mut order: Vec<u8> = present.into_iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut become_of = [0u8; 256];
    for (place, &class) in order.iter().enumerate() {
        become_of[usize::from(class)] = match order.len() {
            1 => ((usize::from(class) + 1) % labels.classes()) as u8,
            count => order[(place + 1) % count],
        };
    }
    let ids = labels.ids().iter().map(|&id| become_of[usize::from(id)]).collect();
    LabelMap::new(labels.width(), labels.height(), ids, labels.classes())
        .expect("classes stay among themselves")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_mask_keeps_its_shapes_and_no_class() {
        let labels = LabelMap::new(3, 2, vec![4, 4, 1, 0, 1, 1], 5).unwrap();
        let other = shuffled(&labels, 3);
        for (a, b) in labels.ids().iter().zip(other.ids()) {
            assert_ne!(a, b);
            assert!([0, 1, 4].contains(b));
        }
        assert_eq!(other.id(0, 0), other.id(1, 0));
        assert_eq!(shuffled(&LabelMap::new(1, 1, vec![4], 5).unwrap(), 0).ids(), [0]);
    }
}
