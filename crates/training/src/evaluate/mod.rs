//! How good a model is, in numbers, each beside what real images reach and what a model that ignores its mask would.

mod borders;
mod confusion;
mod features;
mod held_out;
mod lattice;
mod low_pass;
mod painter;
mod pyramid;
mod report;
mod segmenter;
mod sheet;
mod sliced_wasserstein;

#[cfg(test)]
mod tests;

pub use borders::rims;
pub use confusion::Confusion;
pub use features::Features;
pub use held_out::{HeldOut, Rendered};
pub use lattice::Lattice;
pub use low_pass::{LowPass, difference};
pub use painter::{EvaluationPainter, Style};
pub use pyramid::{PyramidLevel, laplacian};
pub use report::{EvaluationReport, Measures, ModelEvaluation, SetReport};
pub use segmenter::{BATCH, CELL, Segmenter, cells};
pub(crate) use sheet::colored;
pub use sheet::contact_sheet;
pub use sliced_wasserstein::{Patches, sliced};
use spadework_imaging::{LabelMap, RgbImage};

/// Draws the places of patches and the directions of projections, the same for all that is compared.
const PATCH_SEED: u64 = 1;

/// One model's images of every held-out mask.
pub struct Paintings {
    /// With a latent from the prior.
    pub random: Vec<RgbImage>,
    /// With another latent.
    pub varied: Vec<RgbImage>,
    /// In the style that the encoder sees in the mask's own image.
    pub reconstructed: Vec<RgbImage>,
    /// In the style of another landscape of the same mood.
    pub styled: Vec<RgbImage>,
}

impl Paintings {
    /// Paints every mask, or its shuffled control; `progress` hears of each.
    ///
    /// # Errors
    /// When a mask does not fit the model or the network cannot be run.
    pub fn of(
        painter: &mut EvaluationPainter,
        held_out: &[HeldOut],
        mask: impl Fn(&HeldOut) -> &LabelMap,
        mut progress: impl FnMut(),
    ) -> anyhow::Result<Self> {
        let mut paintings =
            Self { random: Vec::new(), varied: Vec::new(), reconstructed: Vec::new(), styled: Vec::new() };
        for (seed, held_out) in (0..).step_by(2).zip(held_out) {
            let plan = painter.plan(mask(held_out), held_out.sample.edges.as_ref())?;
            paintings.random.push(painter.paint(&plan, Style::Random, seed)?);
            paintings.varied.push(painter.paint(&plan, Style::Random, seed + 1)?);
            if painter.follows_styles() {
                let own = Style::Of(&held_out.sample.image);
                paintings.reconstructed.push(painter.paint(&plan, own, seed)?);
                if let Some(rendered) = &held_out.rendered {
                    paintings.styled.push(painter.paint(&plan, Style::Of(&rendered.reference), seed)?);
                }
            }
            progress();
        }
        Ok(paintings)
    }

    /// The image to show for a mask: in its own image's style where the model follows styles.
    pub fn shown(&self, index: usize) -> &RgbImage {
        self.reconstructed.get(index).unwrap_or(&self.random[index])
    }

    /// What real images look like where a model's would stand: those of other masks, and other renders of the same.
    pub fn real(held_out: &[HeldOut]) -> Self {
        let rendered = || held_out.iter().filter_map(|held_out| held_out.rendered.as_ref());
        Self {
            random: held_out.iter().map(|held_out| held_out.sample.image.clone()).collect(),
            varied: rendered().map(|rendered| rendered.any_mood.clone()).collect(),
            reconstructed: rendered().map(|rendered| rendered.same_mood.clone()).collect(),
            styled: rendered().map(|rendered| rendered.same_mood.clone()).collect(),
        }
    }
}

/// What is the same for all models: the real images and what the segmenter makes of them.
pub struct Yardstick<'a> {
    held_out: &'a [HeldOut],
    segmenter: &'a Segmenter,
    bordered: Vec<u8>,
    features: Features,
    patches: Patches,
}

impl<'a> Yardstick<'a> {
    /// Looks at the real images of other masks, which distances are measured from. `bordered` are the classes whose
    /// borders are looked at for rims.
    ///
    /// # Errors
    /// When there are fewer than two.
    pub fn new(held_out: &'a [HeldOut], segmenter: &'a Segmenter, bordered: Vec<u8>) -> anyhow::Result<Self> {
        let others: Vec<RgbImage> = held_out.iter().map(|held_out| held_out.other.clone()).collect();
        let features = Features::new(&segmenter.look(&others)?.features)?;
        Ok(Self { held_out, segmenter, bordered, features, patches: Patches::of(&others, PATCH_SEED)? })
    }

    /// All measures of some paintings.
    ///
    /// # Errors
    /// When a network cannot be run.
    pub fn measure(&self, paintings: &Paintings) -> anyhow::Result<Measures> {
        let opinion = self.segmenter.look(&paintings.random)?;
        let classes = self.held_out.first().map_or(0, |held_out| held_out.sample.labels.classes());
        let mut confusion = Confusion::new(classes);
        for (held_out, found) in self.held_out.iter().zip(&opinion.labels) {
            confusion.add(&cells(&held_out.sample.labels), found);
        }
        let features = Features::new(&opinion.features)?;
        let patches = Patches::of(&paintings.random, PATCH_SEED + 1)?;
        Ok(Measures {
            sliced_wasserstein: patches.distance(&self.patches, PATCH_SEED)?,
            frechet: features.frechet(&self.features)?,
            kernel: features.kernel(&self.features, PATCH_SEED)?,
            mean_iou: confusion.mean_intersection_over_union(),
            diversity: mean(paintings.random.iter().zip(&paintings.varied).map(|(a, b)| difference(a, b))),
            low_pass_l1: mean(self.low_pass_distances(paintings)),
            style_fidelity: mean(self.style_hits(paintings)),
            rims: rims(self.with_masks(&paintings.random), &self.bordered),
            lattice: Lattice::of(&paintings.random),
        })
    }

    fn with_masks<'b>(
        &'b self,
        images: &'b [RgbImage],
    ) -> impl Iterator<Item = (&'b LabelMap, &'b RgbImage)> {
        self.held_out.iter().map(|held_out| &held_out.sample.labels).zip(images)
    }

    fn low_pass_distances(&self, paintings: &Paintings) -> impl Iterator<Item = f64> {
        let pairs = self.held_out.iter().zip(&paintings.reconstructed);
        pairs.map(|(held_out, image)| LowPass::of(image).distance(&LowPass::of(&held_out.sample.image)))
    }

    /// 1 for each painting in a reference's style whose colours are nearest to the mask's in the reference's mood.
    fn style_hits(&self, paintings: &Paintings) -> impl Iterator<Item = f64> {
        let rendered = self.held_out.iter().filter_map(|held_out| held_out.rendered.as_ref());
        rendered.zip(&paintings.styled).map(|(rendered, image)| {
            let colors = LowPass::of(image);
            let distances: Vec<f64> = rendered.moods.iter().map(|mood| colors.distance(mood)).collect();
            let own = distances[rendered.mood];
            f64::from(u8::from(distances.iter().all(|distance| own <= *distance)))
        })
    }
}

/// The mean, or nothing of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}
