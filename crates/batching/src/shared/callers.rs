//! The callers' side: check, submit, leave, drain, stop, ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Health, Pending, Phase, Shared};
use crate::answer::Answer;
use crate::cost::CostModel;
use crate::error::{Failure, Refused};
use crate::job_queue::QueueId;
use crate::observer::Stage;
use crate::scheduler::{Admission, Places, QueueStatus};
use crate::worker::Worker;

impl<W: Worker> Shared<W> {
    pub(crate) fn open(&self, key: W::Key, cost: CostModel) -> QueueId {
        self.lock().scheduler.open(key, cost)
    }

    pub(crate) fn close(&self, queue: QueueId) {
        let mut state = self.lock();
        state.scheduler.close(queue);
        let closed = state.scheduler.take_closed();
        drop(state);
        drop(closed);
    }

    pub(crate) fn reserve(
        &self,
        queue: QueueId,
        places: Places,
        deadline: Instant,
    ) -> Result<Duration, Refused> {
        let mut state = self.lock();
        state.open_for_jobs()?;
        state.scheduler.reserve(queue, places, deadline, self.clock.now())
    }

    pub(crate) fn release(&self, queue: QueueId, places: Places) {
        self.lock().scheduler.release(queue, places);
    }

    pub(crate) fn check_least(
        &self,
        queue: QueueId,
        count: usize,
        allowed: Duration,
    ) -> Result<(), Duration> {
        self.lock().scheduler.check_least(queue, count, allowed, self.clock.now())
    }

    pub(crate) fn least_time(&self, queue: QueueId, count: usize) -> Duration {
        self.lock().scheduler.least_time(queue, count)
    }

    /// Queues all or none, in the `places` they have. Answers each job's id and where its answer comes.
    #[expect(clippy::type_complexity, reason = "a pair that lives for one queue in the caller")]
    pub(crate) fn submit(
        &self,
        queue: QueueId,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
        places: Option<Places>,
    ) -> Result<Vec<(u64, oneshot::Receiver<Answer<W>>)>, Refused> {
        let pending = |(job, bytes)| {
            let (sender, receiver) = oneshot::channel();
            ((Pending { job, sender }, bytes), receiver)
        };
        let (pending, receivers): (Vec<_>, Vec<_>) = jobs.into_iter().map(pending).unzip();
        let mut state = self.lock();
        let admission = match places {
            None => Admission::Fresh,
            Some(places) => {
                state.scheduler.release(queue, places);
                Admission::Reserved
            }
        };
        state.open_for_jobs()?;
        let now = self.clock.now();
        let ids = state.scheduler.submit_as(admission, queue, pending, deadline, now)?;
        self.expect_pulls(&state, now);
        self.wake_prefetchers(&state, now);
        self.publish(&state);
        drop(state);
        // All of them: the one that a single call wakes may be the one that hangs.
        self.work.notify_all();
        Ok(ids.into_iter().zip(receivers).collect())
    }

    /// The caller of a job has left.
    pub(crate) fn withdraw(&self, queue: QueueId, id: u64) {
        let mut state = self.lock();
        let Some((key, job)) = state.scheduler.cancel(queue, id) else { return };
        let closed = state.scheduler.take_closed();
        self.publish(&state);
        drop(state);
        drop((job, closed));
        self.observer.cancelled(&key, Stage::Queued);
    }

    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        state.phase = state.phase.max(Phase::Draining);
        self.publish(&state);
    }

    /// Answers everything that is not answered yet, what runs included, and lets the threads end.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.phase = Phase::Stopped;
        let waiting = state.scheduler.take_all();
        let running = state.replies.iter_mut().flat_map(|batches| batches.drain(..));
        let running: Vec<_> = running.flat_map(|replies| replies.places).flatten().collect();
        let senders = waiting.into_iter().map(|(key, waiting)| (key, waiting.payload));
        let (keys_and_jobs, senders): (Vec<_>, Vec<_>) =
            senders.map(|(key, Pending { job, sender })| ((key, job), sender)).unzip();
        for sender in senders.into_iter().chain(running.into_iter().map(|reply| reply.sender)) {
            let _ = sender.send(Err(Failure::Draining));
        }
        self.publish(&state);
        drop(state);
        drop(keys_and_jobs);
        self.wake_all();
    }

    pub(crate) fn statuses(&self) -> Vec<QueueStatus<W::Key>> {
        let state = self.lock();
        state.scheduler.status(self.clock.now())
    }

    /// Reads atomics only: never behind work.
    pub(crate) fn health(&self) -> Health {
        match self.status.borrow().phase {
            Phase::Lost => return Health::DeviceLost,
            Phase::Draining | Phase::Stopped => return Health::Draining,
            Phase::Serving => {}
        }
        let now = self.nanos(self.clock.now());
        let allowed = u64::try_from(self.stall_after.as_nanos()).unwrap_or(u64::MAX);
        let overdue = |at: &AtomicU64| now > at.load(Ordering::Relaxed).saturating_add(allowed);
        let stalled = self.devices.iter().find(|device| overdue(&device.due) || overdue(&device.idle_since));
        stalled.map_or(Health::Serving, |device| Health::Stalled { device: device.name.clone() })
    }
}
