//! A run and its folder: the loop and its checkpoints.

mod checkpoint;
mod config;
mod difference;
mod feed;
mod folder;
mod learning;
mod mean;
mod memory;
mod not_finite;
mod random;
mod snapshot;
mod start;
mod step_error;
mod trainer;
mod training;

#[cfg(test)]
mod agreement;
#[cfg(test)]
pub(crate) mod tests;

pub use checkpoint::{CheckpointFileError, Checkpoints, Position, Stored};
pub use config::{Change, Compute, Optimization, Output, RUN_VERSION, RunConfig};
pub use difference::{Difference, as_text, differences};
pub use feed::{Feed, Sharing, batch_of};
pub use folder::{RunFolder, checkpoints, is_run, read_config};
pub use learning::{Learner, Learning, MicroBatch, StepSettings};
pub use memory::{MemoryEstimate, available, estimate, readable};
pub use random::{Use, draws};
pub use snapshot::{restore, tensors};
pub use start::{RunStart, shown};
pub use step_error::{NotFinite, StepError, StepReport};
pub use trainer::{begin_from, build};
pub use training::{Ending, Training};
