//! What can go wrong: before a job is queued, while it waits or runs, and when the devices start.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Why something failed, as its source tells it.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A job was not queued. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It, or a job admitted before it, would be answered after its deadline.
    #[error("the answer would be late; all that waits has run in {retry_after:?}")]
    Late {
        /// The predicted time until all that is admitted has run.
        retry_after: Duration,
    },
    /// The bound on jobs or bytes is reached.
    #[error("the queue is full; all that waits has run in {retry_after:?}")]
    Full {
        /// The predicted time until all that is admitted has run.
        retry_after: Duration,
    },
    /// The batcher is draining or stopped.
    #[error("no new jobs are taken while draining")]
    Draining,
    /// A device is gone and the process is about to end.
    #[error("a device is lost")]
    DeviceLost,
}

/// An admitted job ended without an output.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It could no longer be in time, so it did not run.
    #[error("the deadline passed before the job could run")]
    DeadlinePassed,
    /// The batcher stopped before the job had run.
    #[error("stopped before the job had run")]
    Draining,
    /// Its batch failed.
    #[error("run the batch")]
    Batch {
        /// What kind of failure.
        reason: FailureReason,
        /// What the worker said; shared by the jobs of the batch.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// A device was lost while it waited.
    #[error("a device was lost before the job had run")]
    DeviceLost,
}

/// What kind of failure ended a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The device's memory did not suffice, even for half the batch.
    OutOfMemory,
    /// The worker answered an error, or the wrong number of outputs.
    Failed,
    /// The worker panicked and was rebuilt.
    Panicked,
    /// The device is gone.
    DeviceLost,
}

/// How a worker says that a batch failed.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The device's memory did not suffice: the batch is halved and tried once more, and its size is lowered.
    #[error("the device's memory did not suffice")]
    OutOfMemory(#[source] Cause),
    /// This batch failed; the next may not.
    #[error("the batch failed")]
    Failed(#[source] Cause),
    /// The device will not work again in this process: every further batch would fail.
    #[error("the device is lost")]
    DeviceLost(#[source] Cause),
}

/// The batcher did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no device.
    #[error("no device was given")]
    NoDevice,
    /// A device's thread could not be started.
    #[error("start the thread of device `{device}`")]
    Thread {
        /// The device.
        device: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A device's worker could not be built.
    #[error("build the worker of device `{device}`")]
    Worker {
        /// The device.
        device: String,
        /// What its factory said.
        #[source]
        source: Cause,
    },
}
