//! Training pairs: where they come from, and how they reach the network in time and in order.

mod args;
mod cache;
mod files;
mod landscapes;
mod layout;
mod loader;
mod pairs;
mod scan;
mod transform;

pub use args::{DataArgs, HeldOutSet, read_labels};
pub use files::{Files, FilesOptions};
pub use landscapes::{Landscapes, Recipe};
pub use layout::{DatasetLayout, Split};
pub use loader::Loader;
pub use pairs::{Pair, Pairs};
pub use scan::{ClassShare, Scan, UnknownValue};
use spadework_imaging::{EdgeMap, LabelMap, RgbImage};
pub use transform::{Preprocess, Transform};

#[cfg(test)]
mod tests;

/// A label map and the image that it stands for, of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What each pixel shows.
    pub labels: LabelMap,
    /// Where instances meet, for a network with an edge plane.
    pub edges: Option<EdgeMap>,
    /// The image.
    pub image: RgbImage,
}

/// Samples by their position in the run.
///
/// A position alone decides its sample: not the thread, nor what was read before. So a run that resumes at a position
/// goes on exactly as it would have.
pub trait SampleSource: Send + Sync {
    /// Samples in an epoch, at least one. Positions go on past it, into the next epochs.
    fn epoch(&self) -> u64;

    /// The sample at a position.
    ///
    /// # Errors
    /// With the name of the file that could not be used.
    fn sample(&self, position: u64) -> anyhow::Result<Sample>;
}
