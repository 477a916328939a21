//! The jobs of one queue in order of arrival, and what they cost to run.

use std::collections::VecDeque;
use std::time::Instant;

use crate::arrivals::Arrivals;
use crate::cost::CostModel;

/// Names a queue for its lifetime; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueId(pub(crate) u64);

/// A job that has been admitted and is not bound yet.
#[derive(Debug)]
pub struct Waiting<T> {
    /// Its number, in order of admission over all queues.
    pub id: u64,
    /// When its answer is due.
    pub deadline: Instant,
    /// When it was admitted.
    pub queued_at: Instant,
    /// Memory it holds.
    pub bytes: usize,
    /// The job.
    pub payload: T,
}

/// The waiting jobs of one key, oldest first.
#[derive(Debug)]
pub struct JobQueue<K, T> {
    pub(crate) id: QueueId,
    pub(crate) key: K,
    pub(crate) cost: CostModel,
    pub(crate) arrivals: Arrivals,
    pub(crate) waiting: VecDeque<Waiting<T>>,
    /// What the waiting jobs hold, in bytes.
    pub(crate) waiting_bytes: usize,
    /// Jobs that have a place here and are not submitted yet.
    pub(crate) reserved: usize,
    /// Nothing is submitted any more: the queue goes when it is empty.
    pub(crate) closed: bool,
}

impl<K, T> JobQueue<K, T> {
    pub(crate) fn new(id: QueueId, key: K, cost: CostModel) -> Self {
        let (arrivals, waiting) = (Arrivals::default(), VecDeque::new());
        Self { id, key, cost, arrivals, waiting, waiting_bytes: 0, reserved: 0, closed: false }
    }

    /// When a batch of `size` that is bound at `now` has ended, at the latest: what is held against a deadline.
    pub(crate) fn ends_by(&self, size: usize, now: Instant) -> Instant {
        now + self.cost.latest(size)
    }

    /// The deadlines from place `from` on.
    pub(crate) fn deadlines(&self, from: usize) -> impl Iterator<Item = Instant> {
        self.waiting.range(from..).map(|waiting| waiting.deadline)
    }

    /// Takes out the job `id`, if it still waits.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Waiting<T>> {
        let place = self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()?;
        let removed = self.waiting.remove(place)?;
        self.waiting_bytes -= removed.bytes;
        Some(removed)
    }
}
