//! What the batcher reports as it happens. What it is like at a moment, [`Batcher::status`](crate::Batcher::status) tells.

use std::error::Error;
use std::time::Duration;

use crate::error::FailureReason;

/// Where a job was when its caller left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It waited, and its place is free.
    Queued,
    /// It ran, and its output was thrown away.
    Running,
}

/// Is told of each event once, on the thread where it happens and with no lock held. `()` observes nothing.
pub trait Observer<K>: Send + Sync + 'static {
    /// A batch of `size` took `ran` on `device`, without what it waited there for the batch before.
    fn batch_finished(&self, device: &str, key: &K, size: usize, ran: Duration) {
        let _ = (device, key, size, ran);
    }

    /// A batch of `size` failed `ran` after it was begun. One that is halved for lack of memory and then succeeds is reported
    /// as failed once, and its halves as finished.
    fn batch_failed(
        &self,
        device: &str,
        key: &K,
        size: usize,
        ran: Duration,
        reason: FailureReason,
        cause: &(dyn Error + 'static),
    ) {
        let _ = (device, key, size, ran, reason, cause);
    }

    /// A caller left before its answer.
    fn cancelled(&self, key: &K, stage: Stage) {
        let _ = (key, stage);
    }

    /// An admitted job was answered [`DeadlinePassed`](crate::Failure::DeadlinePassed).
    fn deadline_missed(&self, key: &K) {
        let _ = key;
    }
}

impl<K> Observer<K> for () {}
