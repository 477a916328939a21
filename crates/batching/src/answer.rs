//! What a job's caller is told.

use std::time::Duration;

use crate::error::Failure;
use crate::worker::Worker;

pub(crate) type Answer<W> = Result<Completed<<W as Worker>::Output>, Failure>;

/// An output, and where its time went.
#[derive(Clone, Debug)]
pub struct Completed<O> {
    /// What the job became.
    pub output: O,
    /// From admission until its batch started.
    pub queued: Duration,
    /// How long its batch ran.
    pub ran: Duration,
    /// Jobs in its batch, itself included.
    pub batch_size: usize,
}
