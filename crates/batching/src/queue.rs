//! Where jobs of one key are submitted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::Refused;
use crate::line::LineId;
use crate::scheduler::Look;
use crate::shared::Shared;
use crate::ticket::Ticket;
use crate::worker::Worker;

/// A queue of the batcher. Clones are the same queue. When the last clone is dropped the queue closes: what waits in
/// it still runs, then its key is dropped. So a model that has been replaced stays until its last job is done.
pub struct Queue<W: Worker>(Arc<Open<W>>);

struct Open<W: Worker> {
    shared: Arc<Shared<W>>,
    line: LineId,
    /// Jobs that were promised a place and are not submitted yet.
    expected: AtomicUsize,
}

/// Jobs that were promised a place while they are made ready. Until it is dropped or submitted, those that ask after
/// them are told as if they waited already.
pub struct Expected<W: Worker> {
    open: Arc<Open<W>>,
    count: usize,
    wait: Duration,
}

impl<W: Worker> Expected<W> {
    /// Their predicted wait until their answer.
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

impl<W: Worker> Drop for Expected<W> {
    fn drop(&mut self) {
        self.open.expected.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl<W: Worker> Queue<W> {
    pub(crate) fn new(shared: Arc<Shared<W>>, line: LineId) -> Self {
        Self(Arc::new(Open { shared, line, expected: AtomicUsize::new(0) }))
    }

    /// Queues a job that holds `bytes` of memory and is to be answered by `deadline`. Never waits.
    pub fn submit(&self, job: W::Job, bytes: usize, deadline: Instant) -> Result<Ticket<W>, Refused> {
        let mut tickets = self.submit_all(vec![(job, bytes)], deadline)?;
        Ok(tickets.pop().expect("one job, one ticket"))
    }

    /// Queues jobs (each with its bytes) that are due together: all of them or none.
    pub fn submit_all(
        &self,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        self.submit_as(jobs, deadline, Look::Only)
    }

    /// Whether `count` jobs of `bytes` together would be admitted now, behind those that are expected already. For
    /// refusing before the work of decoding a job.
    pub fn check(&self, count: usize, bytes: usize, deadline: Instant) -> Result<Expected<W>, Refused> {
        // Counted first: of those that ask at the same moment, all but one see the others.
        let ahead = self.0.expected.fetch_add(count, Ordering::Relaxed);
        let mut expected = Expected { open: self.0.clone(), count, wait: Duration::ZERO };
        expected.wait = self.0.shared.check(self.0.line, ahead + count, bytes, deadline)?;
        Ok(expected)
    }

    /// As [`submit_all`](Self::submit_all), of jobs that were expected: they are refused only where they would be late,
    /// not where nothing is left to spare.
    pub fn submit_expected(
        &self,
        expected: Expected<W>,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        drop(expected);
        self.submit_as(jobs, deadline, Look::Second)
    }

    fn submit_as(
        &self,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
        look: Look,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        let Open { shared, line, .. } = &*self.0;
        let ticket =
            |(id, answer)| Ticket { shared: shared.clone(), line: *line, id, answer, answered: false };
        Ok(shared.submit(*line, jobs, deadline, look)?.into_iter().map(ticket).collect())
    }

    /// Keeps the time that is reserved for encoding an answer current.
    pub fn observe_codec(&self, took: Duration) {
        self.0.shared.observe_codec(self.0.line, took);
    }
}

impl<W: Worker> Clone for Queue<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Worker> Drop for Open<W> {
    fn drop(&mut self) {
        self.shared.close(self.line);
    }
}
