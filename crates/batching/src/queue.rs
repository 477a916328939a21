//! Where jobs of one key are submitted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Refused;
use crate::job_queue::QueueId;
use crate::scheduler::Places;
use crate::shared::Shared;
use crate::ticket::Ticket;
use crate::worker::Worker;

/// A queue of the batcher. Clones are the same queue. When the last clone is dropped the queue closes: what waits in
/// it still runs, then its key is dropped. So a model that has been replaced stays until its last job is done.
pub struct Queue<W: Worker>(Arc<Open<W>>);

struct Open<W: Worker> {
    shared: Arc<Shared<W>>,
    queue: QueueId,
}

/// Places for jobs while they are made ready: their count and bytes are weighed once, here. Until it is dropped or
/// submitted, whoever asks is told as if they waited already.
pub struct Reservation<W: Worker> {
    open: Arc<Open<W>>,
    places: Places,
    wait: Duration,
    /// Its places have been given back with the submission.
    submitted: bool,
}

impl<W: Worker> Reservation<W> {
    /// Their predicted wait until their batch has ended.
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

impl<W: Worker> Drop for Reservation<W> {
    fn drop(&mut self) {
        if !self.submitted {
            self.open.shared.release(self.open.queue, self.places);
        }
    }
}

impl<W: Worker> Queue<W> {
    pub(crate) fn new(shared: Arc<Shared<W>>, queue: QueueId) -> Self {
        Self(Arc::new(Open { shared, queue }))
    }

    /// Queues a job that holds `bytes` of memory and whose batch is to end by `deadline`. Never waits.
    ///
    /// # Errors
    /// As [`submit_all`](Self::submit_all).
    pub fn submit(&self, job: W::Job, bytes: usize, deadline: Instant) -> Result<Ticket<W>, Refused> {
        let mut tickets = self.submit_all(vec![(job, bytes)], deadline)?;
        Ok(tickets.pop().expect("one job, one ticket"))
    }

    /// Queues jobs (each with its bytes) that are due together: all of them or none.
    ///
    /// # Errors
    /// When the bounds are reached, or they, or jobs that wait, would be late.
    pub fn submit_all(
        &self,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        self.submit_as(jobs, deadline, None)
    }

    /// Takes places for `count` jobs that will hold about `bytes` of memory together, behind those that are taken already:
    /// for refusing before the work of making a job ready.
    ///
    /// # Errors
    /// When they would not be admitted now.
    pub fn reserve(&self, count: usize, bytes: usize, deadline: Instant) -> Result<Reservation<W>, Refused> {
        let places = Places { count, bytes };
        let wait = self.0.shared.reserve(self.0.queue, places, deadline)?;
        Ok(Reservation { open: self.0.clone(), places, wait, submitted: false })
    }

    /// Queues the jobs that have places, each with the bytes that it holds.
    ///
    /// # Errors
    /// When they would be late by now; never for lack of room, and not where only nothing is left to spare.
    ///
    /// # Panics
    /// When there are more jobs than places, or the places are another queue's.
    pub fn submit_reserved(
        &self,
        mut reservation: Reservation<W>,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        let places = reservation.places;
        assert!(jobs.len() <= places.count && reservation.open.queue == self.0.queue, "no place for a job");
        reservation.submitted = true;
        self.submit_as(jobs, deadline, Some(places))
    }

    fn submit_as(
        &self,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
        places: Option<Places>,
    ) -> Result<Vec<Ticket<W>>, Refused> {
        let Open { shared, queue } = &*self.0;
        let ticket =
            |(id, answer)| Ticket { shared: shared.clone(), queue: *queue, id, answer, answered: false };
        Ok(shared.submit(*queue, jobs, deadline, places)?.into_iter().map(ticket).collect())
    }

    /// Whether `count` jobs have ever ended within `allowed`, the margin included.
    ///
    /// # Errors
    /// With the least time that they need: no waiting changes that.
    pub fn check_least(&self, count: usize, allowed: Duration) -> Result<(), Duration> {
        self.0.shared.check_least(self.0.queue, count, allowed)
    }

    /// The least time that `count` jobs have ever taken on one idle device: with less before its deadline, no job can
    /// ever be admitted.
    pub fn least_time(&self, count: usize) -> Duration {
        self.0.shared.least_time(self.0.queue, count)
    }
}

impl<W: Worker> Clone for Queue<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Worker> Drop for Open<W> {
    fn drop(&mut self) {
        self.shared.close(self.queue);
    }
}
