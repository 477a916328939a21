//! The callers' side: check, submit, leave, drain, stop, ask.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Health, Pending, Phase, Shared};
use crate::answer::Answer;
use crate::error::{Failure, Refused};
use crate::line::{LineId, Profile};
use crate::observer::Stage;
use crate::scheduler::{Look, QueueStatus};
use crate::worker::Worker;

impl<W: Worker> Shared<W> {
    pub(crate) fn open(&self, key: W::Key, profile: Profile) -> LineId {
        self.lock().scheduler.open(key, profile)
    }

    pub(crate) fn close(&self, line: LineId) {
        let mut state = self.lock();
        state.scheduler.close(line);
        let closed = state.scheduler.take_closed();
        drop(state);
        drop(closed);
    }

    pub(crate) fn check(
        &self,
        line: LineId,
        count: usize,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Duration, Refused> {
        let mut state = self.lock();
        state.open_for_jobs()?;
        state.scheduler.check(line, count, bytes, deadline, self.clock.now())
    }

    /// Queues all or none. Answers each job's id and where its answer comes.
    #[expect(clippy::type_complexity, reason = "a pair that lives for one line in the caller")]
    pub(crate) fn submit(
        &self,
        line: LineId,
        jobs: Vec<(W::Job, usize)>,
        deadline: Instant,
        look: Look,
    ) -> Result<Vec<(u64, oneshot::Receiver<Answer<W>>)>, Refused> {
        let pending = |(job, bytes)| {
            let (sender, receiver) = oneshot::channel();
            ((Pending { job, sender }, bytes), receiver)
        };
        let (pending, receivers): (Vec<_>, Vec<_>) = jobs.into_iter().map(pending).unzip();
        let mut state = self.lock();
        state.open_for_jobs()?;
        let now = self.clock.now();
        let ids = state.scheduler.submit_as(look, line, pending, deadline, now)?;
        self.wake_lookouts(&state, now);
        self.publish(&state);
        drop(state);
        if ids.len() > 1 {
            self.work.notify_all();
        } else {
            self.work.notify_one();
        }
        Ok(ids.into_iter().zip(receivers).collect())
    }

    /// The caller of a job has left.
    pub(crate) fn withdraw(&self, line: LineId, id: u64) {
        let mut state = self.lock();
        let Some((key, job)) = state.scheduler.cancel(line, id) else { return };
        let closed = state.scheduler.take_closed();
        self.publish(&state);
        drop(state);
        drop((job, closed));
        self.observer.cancelled(&key, Stage::Queued);
    }

    pub(crate) fn observe_codec(&self, line: LineId, took: Duration) {
        self.lock().scheduler.observe_codec(line, took);
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
        let allowed = |due: u64| due.saturating_add(self.stall_after.as_nanos() as u64);
        let stalled = self.devices.iter().find(|device| now > allowed(device.due.load(Ordering::Relaxed)));
        stalled.map_or(Health::Serving, |device| Health::Stalled { device: device.name.clone() })
    }
}
