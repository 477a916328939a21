//! Where jobs of one key are submitted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::shared::Shared;
use crate::{LineId, Refused, Ticket, Worker};

/// A queue of the batcher. Clones are the same queue. When the last clone is dropped the queue closes: what waits in
/// it still runs, then its key is dropped. So a model that has been replaced stays until its last job is done.
pub struct Queue<W: Worker>(Arc<Open<W>>);

struct Open<W: Worker> {
    shared: Arc<Shared<W>>,
    line: LineId,
}

impl<W: Worker> Queue<W> {
    pub(crate) fn new(shared: Arc<Shared<W>>, line: LineId) -> Self {
        Self(Arc::new(Open { shared, line }))
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
        let Open { shared, line } = &*self.0;
        let ticket =
            |(id, answer)| Ticket { shared: shared.clone(), line: *line, id, answer, answered: false };
        Ok(shared.submit(*line, jobs, deadline)?.into_iter().map(ticket).collect())
    }

    /// Whether `count` jobs of `bytes` together would be admitted now; if so, their predicted wait until their answer.
    /// For refusing before the work of decoding a job; [`submit`](Self::submit) decides again.
    pub fn check(&self, count: usize, bytes: usize, deadline: Instant) -> Result<Duration, Refused> {
        self.0.shared.check(self.0.line, count, bytes, deadline)
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
