//! The numbers, for eyes and for programs.

use std::fmt;

use serde::Serialize;

use super::lattice::Lattice;

/// What is measured of one set of images. What cannot be measured is absent: a model without an encoder reconstructs
/// nothing, and only a renderer knows moods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Sliced Wasserstein distance of Laplacian patches, ×1000, from real images of other masks.
    pub sliced_wasserstein: f64,
    /// Fréchet distance in the segmenter's features, from the same.
    pub frechet: f64,
    /// Kernel distance in the segmenter's features, from the same.
    pub kernel: f64,
    /// Mean intersection over union of what the segmenter sees with what the mask asks for.
    pub mean_iou: f64,
    /// Mean difference of two images of one mask, colours from -1 to 1.
    pub diversity: Option<f64>,
    /// L1 of 8× down-sampled images in the style of the mask's own image, colours from -1 to 1.
    pub low_pass_l1: Option<f64>,
    /// Share of images in a reference's style that are nearest to the reference's mood.
    pub style_fidelity: Option<f64>,
    /// How much brighter or darker images are just outside clouds, trees and mountains than farther off, in levels of a
    /// byte.
    pub rims: Option<f64>,
    /// Light that alternates from pixel to pixel or over four pixels, in levels of a byte.
    pub lattice: Lattice,
}

/// One model's numbers.
#[derive(Clone, Debug, Serialize)]
pub struct ModelEvaluation {
    /// Its folder's name.
    pub name: String,
    /// Of its images.
    pub measures: Measures,
    /// Its mean intersection over union as a share of what real images reach.
    pub relative_iou: f64,
    /// Its rims as a share of the real images'.
    pub relative_rims: Option<f64>,
    /// Of its lattice's waves the one that differs most from the real images', as a share of theirs.
    pub farthest_wave: f64,
    /// Of its images of masks whose classes were exchanged: what a model that ignores its mask might reach.
    pub shuffled: Measures,
}

/// The numbers of one kind of masks.
#[derive(Clone, Debug, Serialize)]
pub struct SetReport {
    /// What kind they are.
    pub masks: &'static str,
    /// How many.
    pub count: usize,
    /// Of real images: the floor of distances, the ceiling of the rest.
    pub real: Measures,
    /// Of each model's.
    pub models: Vec<ModelEvaluation>,
}

/// All numbers.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluationReport {
    /// The segmenter's parameters, and the pairs that it was trained on.
    pub segmenter_parameters: usize,
    /// See above.
    pub segmenter_pairs: u64,
    /// Of each kind of held-out masks.
    pub sets: Vec<SetReport>,
}

/// A row of the table.
type Row = (&'static str, fn(&Measures) -> Option<f64>);

const ROWS: [Row; 9] = [
    ("sliced Wasserstein ×1000 (less)", |m| Some(m.sliced_wasserstein)),
    ("Fréchet, segmenter's features (less)", |m| Some(m.frechet)),
    ("kernel, segmenter's features (less)", |m| Some(m.kernel)),
    ("mIoU of the segmenter (more)", |m| Some(m.mean_iou)),
    ("diversity over latents", |m| m.diversity),
    ("L1 of 8× down-sampled (less)", |m| m.low_pass_l1),
    ("style fidelity (more)", |m| m.style_fidelity),
    ("rims outside borders (as real)", |m| m.rims),
    ("lattice, mean wave (as real)", |m| Some(m.lattice.mean())),
];

/// A row of shares of what real images have.
type ShareRow = (&'static str, fn(&ModelEvaluation) -> Option<f64>);

const SHARES: [ShareRow; 3] = [
    ("mIoU, share of real", |model| Some(model.relative_iou)),
    ("rims, share of real", |model| model.relative_rims),
    ("lattice, wave farthest from real", |model| Some(model.farthest_wave)),
];

impl fmt::Display for EvaluationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "a segmenter of {} parameters, trained on {} real pairs",
            self.segmenter_parameters, self.segmenter_pairs
        )?;
        self.sets.iter().try_for_each(|set| write!(f, "\n{set}"))
    }
}

impl fmt::Display for SetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} masks", self.count, self.masks)?;
        write!(f, "{:<38}{:>12}", "", "real")?;
        for model in &self.models {
            write!(f, "{:>16}{:>12}", model.name, "shuffled")?;
        }
        writeln!(f)?;
        for (name, value) in ROWS {
            write!(f, "{name:<38}{:>12}", number(value(&self.real)))?;
            for model in &self.models {
                let (own, shuffled) = (value(&model.measures), value(&model.shuffled));
                write!(f, "{:>16}{:>12}", number(own), number(shuffled))?;
            }
            writeln!(f)?;
        }
        for (name, value) in SHARES {
            write!(f, "{name:<38}{:>12}", "100.0%")?;
            for model in &self.models {
                let share = value(model).map_or("–".to_owned(), |share| format!("{:.1}%", 100.0 * share));
                write!(f, "{share:>16}{:>12}", "")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.4}"))
}
