//! A run and its folder: checkpoints, metrics, previews, alarms.

mod checkpoint;
mod events;
mod window;

pub use checkpoint::{CheckpointFileError, Checkpoints, Position, Stored};
pub use events::{EncodedPicture, EventFile};
pub use window::Window;
