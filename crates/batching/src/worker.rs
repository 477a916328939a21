//! What runs batches on a device.

use std::time::Duration;

use crate::error::{BatchError, Cause};

/// Runs batches on one device. Built on the device's thread and never leaves it, so it need not be `Send`.
pub trait Worker: 'static {
    /// What the jobs of a queue have in common: the model and the size.
    type Key: Clone + Send + 'static;
    /// One unit of work.
    type Job: Send + 'static;
    /// What a job becomes.
    type Output: Send + 'static;

    /// Runs jobs of one key, or gives them to a device that works on them by itself.
    fn start(&mut self, key: &Self::Key, jobs: &[Self::Job]) -> Result<Started<Self::Output>, BatchError>;
}

/// What has become of a batch when [`Worker::start`] returns.
pub enum Started<O> {
    /// It has run. One output per job, in their order.
    Complete(Vec<O>),
    /// A device works on it. Meanwhile the worker may be given one more, which the device is to begin when it has ended
    /// this one.
    Running {
        /// Tells when the device has ended it.
        ended: EndSignal,
        /// Gives what has become of it.
        wait: AwaitOutputs<O>,
    },
}

/// Returns when a device has ended a batch, well or not: to call its [`AwaitOutputs`] takes no waiting then. Called on a thread
/// of its own, once or not at all, maybe after `AwaitOutputs` has been called.
pub type EndSignal = Box<dyn FnOnce() + Send>;

/// Waits for a batch. It does without the worker, which may have panicked since. Dropped instead of called, it waits as
/// long as memory of the batch is in use.
pub type AwaitOutputs<O> = Box<dyn FnOnce() -> Result<BatchOutputs<O>, BatchError>>;

/// A batch that a device has run.
pub struct BatchOutputs<O> {
    /// One for each job, in their order.
    pub outputs: Vec<O>,
    /// How long the device worked on it, without what it did for batches before.
    pub ran: Duration,
}

/// A device: its name and how its worker is built, also again after a panic.
pub struct Device<W> {
    pub(crate) name: String,
    pub(crate) build: Build<W>,
}

pub(crate) type Build<W> = Box<dyn FnMut() -> Result<W, Cause> + Send>;

impl<W> Device<W> {
    /// `build` is called on the device's own thread.
    pub fn new(name: impl Into<String>, build: impl FnMut() -> Result<W, Cause> + Send + 'static) -> Self {
        Self { name: name.into(), build: Box::new(build) }
    }
}
