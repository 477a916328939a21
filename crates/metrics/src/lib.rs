//! Every metric's name, unit, labels and buckets, in one place.
//!
//! Values are passed in; nothing is measured here. Labels are enumerations or names that the server chose itself: no
//! label takes a value from a request unchecked. [`Metrics`] owns its registry, so two servers in one process do not
//! share counters.

mod labels;
mod metrics;
mod training;

pub use labels::{
    BatchFailure, CancelStage, LastExit, Network, Outcome, RejectReason, Stage, StoreCheck, TableResult,
    TrainingAlarm,
};
pub use metrics::{BuildInfo, Metrics};
pub use prometheus::{Error, TEXT_FORMAT as CONTENT_TYPE};
pub use training::{TrainingMetrics, TrainingProgress};
