//! What a run writes: metrics, events, previews, alarms, progress. It never computes.

mod alarms;
mod events;
mod every;
mod losses;
mod metrics_file;
mod preview;
mod progress;
mod recorder;
mod textfile;
mod window;

pub use alarms::{Alarm, Alarms};
pub use events::{EncodedImage, EventFile};
pub use every::{Every, Timer};
pub use metrics_file::{MetricsFile, MetricsLine};
pub use preview::{Preview, PreviewModel, preview};
pub use progress::RunProgress;
pub use recorder::Record;
pub use window::MetricsWindow;
