//! What the callers and the device threads share: the scheduler behind a lock, and who is to be answered.
//!
//! The lock is held for decisions only, microseconds; jobs, keys and outputs are dropped outside it.

mod callers;
mod devices;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{Failure, Refused};
use crate::job_queue::{QueueId, Waiting};
use crate::observer::Observer;
use crate::scheduler::Scheduler;
use crate::settings::Settings;
use crate::worker::Worker;

/// How far along its life the batcher is. Later ones are never left for earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Lost,
    Stopped,
}

/// What waiters are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    pub(crate) idle: bool,
}

/// Whether the batcher can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Serving,
    /// It takes no new jobs.
    Draining,
    /// A device has not answered in its time.
    Stalled {
        /// Its name.
        device: String,
    },
    /// A device is gone for good; the process should end.
    DeviceLost,
}

/// An admitted job and where its answer goes.
pub(crate) struct Pending<W: Worker> {
    job: W::Job,
    sender: oneshot::Sender<Answer<W>>,
}

/// Where the answer to a running job goes.
struct Reply<W: Worker> {
    sender: oneshot::Sender<Answer<W>>,
    queued_at: Instant,
}

/// A batch on its device's thread.
pub(crate) struct Batch<W: Worker> {
    device: usize,
    /// Later batches have larger ones.
    pub(crate) number: u64,
    pub(crate) key: W::Key,
    pub(crate) queue: QueueId,
    pub(crate) jobs: Vec<W::Job>,
}

struct State<W: Worker> {
    phase: Phase,
    scheduler: Scheduler<W::Key, Pending<W>>,
    /// By device: those of its batches.
    replies: Vec<Vec<Replies<W>>>,
    next_batch: u64,
    /// By device: what its thread does while the device works.
    prefetch_waits: Vec<PrefetchWait>,
}

/// Where the answers to a batch go, by place in it; none once answered.
struct Replies<W: Worker> {
    batch: u64,
    places: Vec<Option<Reply<W>>>,
}

/// A device's thread while the device works.
#[derive(Clone, Copy, Default)]
struct PrefetchWait {
    /// It waits for a batch to begin ahead.
    waits: bool,
    /// The last batch that the device is known to have ended.
    ended: u64,
}

struct DeviceState {
    name: String,
    /// When its batch is due, in nanoseconds after the start; `IDLE` without one.
    due: AtomicU64,
    /// Since when its thread has been called without coming, while it runs nothing; `IDLE` otherwise.
    idle_since: AtomicU64,
    /// Wakes its thread while it is on the prefetch. Those that are idle wait for `work`: the one that an arrival wakes
    /// must be able to take it.
    prefetch: Condvar,
}

const IDLE: u64 = u64::MAX;

pub(crate) struct Shared<W: Worker> {
    state: Mutex<State<W>>,
    work: Condvar,
    pub(crate) status: watch::Sender<Status>,
    devices: Vec<DeviceState>,
    started_at: Instant,
    stall_after: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer<W::Key>>,
}

impl<W: Worker> Shared<W> {
    pub(crate) fn new(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer<W::Key>>,
        devices: Vec<String>,
    ) -> Self {
        let state = State {
            phase: Phase::Serving,
            scheduler: Scheduler::new(devices.len(), settings.limits, settings.margin),
            replies: devices.iter().map(|_| Vec::new()).collect(),
            next_batch: 0,
            prefetch_waits: vec![PrefetchWait::default(); devices.len()],
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            status: watch::Sender::new(Status { phase: Phase::Serving, idle: true }),
            devices: devices
                .into_iter()
                .map(|name| DeviceState {
                    name,
                    due: AtomicU64::new(IDLE),
                    idle_since: AtomicU64::new(IDLE),
                    prefetch: Condvar::new(),
                })
                .collect(),
            started_at: clock.now(),
            stall_after: settings.stall_after,
            clock,
            observer,
        }
    }

    /// Wakes the threads that can begin a batch ahead now.
    fn wake_prefetchers(&self, state: &State<W>, now: Instant) {
        for (index, device) in self.devices.iter().enumerate() {
            if state.prefetch_waits[index].waits && state.scheduler.has_prefetch(index, now) {
                device.prefetch.notify_one();
            }
        }
    }

    /// What is expected of each device's thread, for `health`: to come, once jobs wait while it runs nothing. That it has
    /// come is what ends it: a thread that never does stays overdue, whoever takes or withdraws the jobs.
    fn expect_pulls(&self, state: &State<W>, now: Instant) {
        let waits = state.scheduler.waiting().0 > 0;
        for (index, device) in self.devices.iter().enumerate() {
            if state.scheduler.due(index).is_some() {
                device.idle_since.store(IDLE, Ordering::Relaxed);
            } else if waits && device.idle_since.load(Ordering::Relaxed) == IDLE {
                device.idle_since.store(self.nanos(now), Ordering::Relaxed);
            }
        }
    }

    /// The phase has changed.
    fn wake_all(&self) {
        self.work.notify_all();
        self.devices.iter().for_each(|device| device.prefetch.notify_one());
    }

    fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started_at).as_nanos() as u64
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // No foreign code runs under the lock, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State<W>) {
        let new = Status { phase: state.phase, idle: state.scheduler.is_idle() };
        self.status.send_if_modified(|status| std::mem::replace(status, new) != new);
    }
}

impl<W: Worker> State<W> {
    fn open_for_jobs(&self) -> Result<(), Refused> {
        match self.phase {
            Phase::Serving => Ok(()),
            Phase::Lost => Err(Refused::DeviceLost),
            Phase::Draining | Phase::Stopped => Err(Refused::Draining),
        }
    }
}

/// Answers jobs that will not run. Done under the lock, so that a drain is complete only after it; the jobs
/// themselves are handed back to be dropped outside. The last is whether the caller was still there.
fn answer_waiting<W: Worker>(
    waiting: Vec<(W::Key, Waiting<Pending<W>>)>,
    failure: &Failure,
) -> Vec<(W::Key, W::Job, bool)> {
    let answer = |(key, waiting): (W::Key, Waiting<Pending<W>>)| {
        let Pending { job, sender } = waiting.payload;
        let heard = sender.send(Err(failure.clone())).is_ok();
        (key, job, heard)
    };
    waiting.into_iter().map(answer).collect()
}
