//! The device threads' side: wait for work, bind it, answer it.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Batch, IDLE, Pending, Phase, Replies, Reply, Shared, State, answer_waiting};
use crate::answer::Completed;
use crate::error::Failure;
use crate::job_queue::{QueueId, Waiting};
use crate::observer::Stage;
use crate::scheduler::{Bound, Pull};
use crate::worker::Worker;

impl<W: Worker> Shared<W> {
    /// Waits for work and binds it. None when the thread should end.
    pub(crate) fn next(&self, device: usize) -> Option<Batch<W>> {
        let mut state = self.lock();
        loop {
            if state.phase >= Phase::Lost {
                return None;
            }
            let now = self.clock.now();
            self.devices[device].idle_since.store(IDLE, Ordering::Relaxed); // it has come
            let Pull { bound, expired } = state.scheduler.pull(device, now);
            if bound.is_none() && expired.is_empty() {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let missed = answer_waiting(expired, &Failure::DeadlinePassed);
            let batch = bound.map(|bound| self.bind(&mut state, device, bound));
            let closed = state.scheduler.take_closed();
            self.expect_pulls(&state, now);
            self.publish(&state);
            drop(state);
            drop(closed);
            for (key, _job, heard) in missed {
                if heard {
                    self.observer.deadline_missed(&key);
                } else {
                    self.observer.cancelled(&key, Stage::Queued);
                }
            }
            if batch.is_some() {
                return batch;
            }
            state = self.lock();
        }
    }

    /// Binds what can be given to the device while its batch runs, if there is such a thing now.
    pub(crate) fn next_prefetch(&self, device: usize) -> Option<Batch<W>> {
        let mut state = self.lock();
        if state.phase >= Phase::Lost {
            return None;
        }
        let bound = state.scheduler.prefetch(device, self.clock.now())?;
        Some(self.bind_prefetch(state, device, bound))
    }

    /// Waits for something that can be given to the device while it works on the batch numbered `running`. None when the
    /// device has ended that before, or the thread should end.
    pub(crate) fn next_before_end(&self, device: usize, running: u64) -> Option<Batch<W>> {
        let mut state = self.lock();
        while state.phase < Phase::Lost && state.prefetch_waits[device].ended < running {
            if let Some(bound) = state.scheduler.prefetch(device, self.clock.now()) {
                return Some(self.bind_prefetch(state, device, bound));
            }
            state.prefetch_waits[device].waits = true;
            state = self.devices[device].prefetch.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.prefetch_waits[device].waits = false;
        }
        None
    }

    /// The device has ended the batch with this number, well or not.
    pub(crate) fn ended(&self, device: usize, batch: u64) {
        self.lock().prefetch_waits[device].ended = batch;
        self.devices[device].prefetch.notify_one();
    }

    fn bind_prefetch(
        &self,
        mut state: MutexGuard<'_, State<W>>,
        device: usize,
        bound: Bound<W::Key, Pending<W>>,
    ) -> Batch<W> {
        let batch = self.bind(&mut state, device, bound);
        let closed = state.scheduler.take_closed();
        self.publish(&state);
        drop(state);
        drop(closed);
        batch
    }

    fn bind(&self, state: &mut State<W>, device: usize, bound: Bound<W::Key, Pending<W>>) -> Batch<W> {
        self.publish_due(state, device);
        let split = |Waiting { queued_at, payload: Pending { job, sender }, .. }: Waiting<Pending<W>>| {
            (job, Some(Reply { sender, queued_at }))
        };
        let (jobs, places) = bound.jobs.into_iter().map(split).unzip();
        state.next_batch += 1;
        let number = state.next_batch;
        state.replies[device].push(Replies { batch: number, places });
        Batch { device, number, key: bound.key, queue: bound.queue, jobs }
    }

    /// When the device should have ended its batch, for `health`.
    fn publish_due(&self, state: &State<W>, device: usize) {
        let due = state.scheduler.due(device).map_or(IDLE, |due| self.nanos(due));
        self.devices[device].due.store(due, Ordering::Relaxed);
    }

    /// Answers the jobs from place `first` on. The batch ran from `started` for `ran`.
    pub(crate) fn answer(
        &self,
        batch: &Batch<W>,
        first: usize,
        outputs: Vec<W::Output>,
        started: Instant,
        ran: Duration,
    ) {
        let batch_size = outputs.len();
        let replies = self.take_replies(batch, first..first + batch_size);
        for (reply, output) in replies.into_iter().zip(outputs) {
            let Some(Reply { sender, queued_at }) = reply else { continue };
            let queued = started.saturating_duration_since(queued_at);
            if sender.send(Ok(Completed { output, queued, ran, batch_size })).is_err() {
                self.observer.cancelled(&batch.key, Stage::Running);
            }
        }
    }

    pub(crate) fn fail(&self, batch: &Batch<W>, range: Range<usize>, failure: &Failure) {
        for Reply { sender, .. } in self.take_replies(batch, range).into_iter().flatten() {
            if sender.send(Err(failure.clone())).is_err() {
                self.observer.cancelled(&batch.key, Stage::Running);
            }
        }
    }

    /// None of them are there when the batcher has been stopped: then they have been answered.
    fn take_replies(&self, batch: &Batch<W>, range: Range<usize>) -> Vec<Option<Reply<W>>> {
        let mut state = self.lock();
        let batches = &mut state.replies[batch.device];
        let replies = batches.iter_mut().find(|replies| replies.batch == batch.number);
        let places = replies.and_then(|replies| replies.places.get_mut(range));
        places.map_or_else(Vec::new, |places| places.iter_mut().map(Option::take).collect())
    }

    /// A batch has been answered.
    pub(crate) fn finished(&self, batch: Batch<W>) {
        let mut state = self.lock();
        state.replies[batch.device].retain(|replies| replies.batch != batch.number);
        let now = self.clock.now();
        state.scheduler.finished(batch.device, now);
        self.publish_due(&state, batch.device);
        self.expect_pulls(&state, now);
        self.publish(&state);
        // What this device takes next may leave another one a batch that it would not have had.
        self.wake_prefetchers(&state, now);
        drop(state);
        drop(batch);
    }

    pub(crate) fn ran(&self, queue: QueueId, size: usize, ran: Duration) {
        let now = self.clock.now();
        self.lock().scheduler.observe(queue, size, ran, now);
    }

    pub(crate) fn out_of_memory(&self, queue: QueueId, size: usize) {
        self.lock().scheduler.out_of_memory(queue, size);
    }

    /// Sticky: nothing is admitted or bound any more, and all that waits is answered.
    pub(crate) fn lose_device(&self) {
        let mut state = self.lock();
        state.phase = state.phase.max(Phase::Lost);
        let waiting = state.scheduler.take_all();
        let failed = answer_waiting(waiting, &Failure::DeviceLost);
        self.publish(&state);
        drop(state);
        drop(failed);
        self.wake_all();
    }

    /// The device's thread ends without having answered its batches: the device is lost, and nobody waits for it.
    pub(crate) fn abandon(&self, device: usize) {
        let batches = std::mem::take(&mut self.lock().replies[device]);
        for Reply { sender, .. } in batches.into_iter().flat_map(|replies| replies.places).flatten() {
            let _ = sender.send(Err(Failure::DeviceLost));
        }
        self.lose_device();
        let mut state = self.lock();
        state.scheduler.abandoned(device);
        self.publish(&state);
    }

    pub(crate) fn name(&self, device: usize) -> &str {
        &self.devices[device].name
    }
}
