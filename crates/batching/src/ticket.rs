//! The caller's end of a job: awaits its answer, and leaves when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::error::Failure;
use crate::job_queue::QueueId;
use crate::shared::Shared;
use crate::worker::Worker;

/// Resolves to the job's answer. Dropping it takes the job out of the queue, if it still waits; the output of a job
/// that already runs is thrown away.
#[must_use = "a job whose ticket is dropped does not run"]
pub struct Ticket<W: Worker> {
    pub(crate) shared: Arc<Shared<W>>,
    pub(crate) queue: QueueId,
    pub(crate) id: u64,
    pub(crate) answer: oneshot::Receiver<Answer<W>>,
    pub(crate) answered: bool,
}

impl<W: Worker> Future for Ticket<W> {
    type Output = Answer<W>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        self.answered = true;
        // Every admitted job is answered; only a device thread that was killed from outside leaves one open.
        Poll::Ready(answer.unwrap_or(Err(Failure::DeviceLost)))
    }
}

impl<W: Worker> Drop for Ticket<W> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.withdraw(self.queue, self.id);
        }
    }
}
