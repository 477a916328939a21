//! The numbers, for eyes and for programs.

use std::fmt;

use serde::Serialize;

/// What is measured of one set of pictures. What cannot be measured is absent: a model without an encoder reconstructs
/// nothing, and only a renderer knows moods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Sliced Wasserstein distance of Laplacian patches, ×1000, from real pictures of other masks.
    pub sliced_wasserstein: f64,
    /// Fréchet distance in the segmenter's features, from the same.
    pub frechet: f64,
    /// Kernel distance in the segmenter's features, from the same.
    pub kernel: f64,
    /// Mean intersection over union of what the segmenter sees with what the mask asks for.
    pub mean_iou: f64,
    /// Mean difference of two pictures of one mask, colours from -1 to 1.
    pub diversity: Option<f64>,
    /// L1 of 8× down-sampled pictures in the style of the mask's own picture, colours from -1 to 1.
    pub low_pass_l1: Option<f64>,
    /// Share of pictures in a reference's style that are nearest to the reference's mood.
    pub style_fidelity: Option<f64>,
}

/// One model's numbers.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its folder's name.
    pub name: String,
    /// Of its pictures.
    pub measures: Measures,
    /// Its mean intersection over union as a share of what real pictures reach.
    pub relative_iou: f64,
    /// Of its pictures of masks whose classes were exchanged: what a model that ignores its mask might reach.
    pub shuffled: Measures,
}

/// All numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Held-out masks.
    pub count: usize,
    /// The segmenter's parameters, and the pairs that it was trained on.
    pub segmenter_parameters: usize,
    /// See above.
    pub segmenter_pairs: u64,
    /// Of real pictures: the floor of distances, the ceiling of the rest.
    pub real: Measures,
    /// Of each model's.
    pub models: Vec<ModelReport>,
}

/// A row of the table.
type Row = (&'static str, fn(&Measures) -> Option<f64>);

const ROWS: [Row; 7] = [
    ("sliced Wasserstein ×1000 (less)", |m| Some(m.sliced_wasserstein)),
    ("Fréchet, segmenter's features (less)", |m| Some(m.frechet)),
    ("kernel, segmenter's features (less)", |m| Some(m.kernel)),
    ("mIoU of the segmenter (more)", |m| Some(m.mean_iou)),
    ("diversity over latents", |m| m.diversity),
    ("L1 of 8× down-sampled (less)", |m| m.low_pass_l1),
    ("style fidelity (more)", |m| m.style_fidelity),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} held-out masks; a segmenter of {} parameters, trained on {} real pairs",
            self.count, self.segmenter_parameters, self.segmenter_pairs
        )?;
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
        write!(f, "{:<38}{:>12}", "mIoU, share of real", "100.0%")?;
        for model in &self.models {
            write!(f, "{:>15.1}%{:>12}", 100.0 * model.relative_iou, "")?;
        }
        writeln!(f)
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.4}"))
}
