//! The jobs of one queue in order of arrival, and what they cost to run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::arrivals::Arrivals;
use crate::cost::CostModel;

/// What the batcher has to know about a queue's jobs. All jobs of one queue cost the same.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The time of a batch on a device.
    pub cost: CostModel,
    /// The time from a batch's end to its answer's last byte (encoding), kept free before the deadline.
    pub codec: Duration,
}

/// Names a line for its lifetime; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineId(pub(crate) u64);

/// A job that has been admitted and is not bound yet.
#[derive(Debug)]
pub struct Waiting<T> {
    /// Its number, in order of admission over all lines.
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
pub struct Line<K, T> {
    pub(crate) id: LineId,
    pub(crate) key: K,
    pub(crate) cost: CostModel,
    pub(crate) codec: Duration,
    pub(crate) arrivals: Arrivals,
    pub(crate) waiting: VecDeque<Waiting<T>>,
    /// Nothing is submitted any more: the line goes when it is empty.
    pub(crate) closed: bool,
}

impl<K, T> Line<K, T> {
    pub(crate) fn new(id: LineId, key: K, profile: Profile) -> Self {
        let Profile { cost, codec } = profile;
        Self { id, key, cost, codec, arrivals: Arrivals::default(), waiting: VecDeque::new(), closed: false }
    }

    /// When a batch of `size` that is bound at `now` is answered, at the latest: what is held against a deadline.
    pub(crate) fn answered(&self, size: usize, now: Instant) -> Instant {
        now + self.cost.latest(size) + self.codec
    }

    /// The deadlines from place `from` on.
    pub(crate) fn deadlines(&self, from: usize) -> impl Iterator<Item = Instant> {
        self.waiting.range(from..).map(|waiting| waiting.deadline)
    }

    /// Takes out the job `id`, if it still waits.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Waiting<T>> {
        let place = self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()?;
        self.waiting.remove(place)
    }
}
