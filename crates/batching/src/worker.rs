//! What runs batches on a device.

use crate::{BatchError, Cause};

/// Runs batches on one device. Built on the device's thread and never leaves it, so it need not be `Send`.
pub trait Worker: 'static {
    /// What the jobs of a queue have in common: the model and the size.
    type Key: Clone + Send + 'static;
    /// One unit of work.
    type Job: Send + 'static;
    /// What a job becomes.
    type Output: Send + 'static;

    /// Runs jobs of one key. Answers one output per job, in their order.
    fn run(&mut self, key: &Self::Key, jobs: &[Self::Job]) -> Result<Vec<Self::Output>, BatchError>;
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
