//! A run and its folder: the loop, checkpoints, metrics, previews, alarms.

mod alarms;
mod checkpoint;
mod config;
mod events;
mod every;
mod feed;
mod folder;
mod learning;
mod mean;
mod memory;
mod metrics_file;
mod not_finite;
mod preview;
mod progress;
mod random;
mod record;
mod snapshot;
mod start;
mod textfile;
mod trainer;
mod training;
mod window;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;

pub use alarms::{Alarm, Alarms};
pub use checkpoint::{CheckpointFileError, Checkpoints, Position, Stored};
pub use config::{Compute, Optimization, Output, RUN_VERSION, RunConfig};
pub use events::{EncodedPicture, EventFile};
pub use every::{Every, Timer};
pub use feed::{Feed, Sharing, batch_of};
pub use folder::{RunFolder, checkpoints, is_run, read_config};
pub use learning::{Learner, Learning, Pace, Part, Report, StepError};
pub use memory::{MemoryEstimate, available, estimate, readable};
pub use metrics_file::{Line, MetricsFile};
pub use not_finite::NotFinite;
pub use preview::{Preview, PreviewModel, preview};
pub use progress::Progress;
pub use random::{Use, draws};
pub use record::Record;
pub use snapshot::{restore, tensors};
pub use start::{Start, shown};
pub use trainer::{begin_from, build};
pub use training::{Ending, Training};
pub use window::Window;
