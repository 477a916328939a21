//! What the callers and the device threads share: the scheduler behind a lock, and who is to be answered.
//!
//! The lock is held for decisions only, microseconds; jobs, keys and outputs are dropped outside it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::scheduler::{Bound, Look, Pull, Scheduler};
use crate::{
    Clock, Done, Failure, LineId, Observer, Profile, QueueStatus, Refused, Settings, Stage, Waiting, Worker,
};

pub(crate) type Answer<W> = Result<Done<<W as Worker>::Output>, Failure>;

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
    pub(crate) line: LineId,
    pub(crate) jobs: Vec<W::Job>,
}

struct State<W: Worker> {
    phase: Phase,
    scheduler: Scheduler<W::Key, Pending<W>>,
    /// By device: those of its batches.
    replies: Vec<Vec<Replies<W>>>,
    next_batch: u64,
    /// By device: what its thread does while the device works.
    lookouts: Vec<Lookout>,
}

/// Where the answers to a batch go, by place in it; none once answered.
struct Replies<W: Worker> {
    batch: u64,
    places: Vec<Option<Reply<W>>>,
}

/// A device's thread while the device works.
#[derive(Clone, Copy, Default)]
struct Lookout {
    /// It waits for a batch to begin ahead.
    waits: bool,
    /// The last batch that the device is known to have ended.
    ended: u64,
}

struct DeviceState {
    name: String,
    /// When its batch is due, in nanoseconds after the start; `IDLE` without one.
    due: AtomicU64,
    /// Wakes its thread while it is on the lookout. Those that are idle wait for `work`: the one that an arrival wakes
    /// must be able to take it.
    lookout: Condvar,
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

/// For callers.
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
            lookouts: vec![Lookout::default(); devices.len()],
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            status: watch::Sender::new(Status { phase: Phase::Serving, idle: true }),
            devices: devices
                .into_iter()
                .map(|name| DeviceState { name, due: AtomicU64::new(IDLE), lookout: Condvar::new() })
                .collect(),
            started_at: clock.now(),
            stall_after: settings.stall_after,
            clock,
            observer,
        }
    }

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

    /// Wakes the threads that can begin a batch ahead now.
    fn wake_lookouts(&self, state: &State<W>, now: Instant) {
        for (index, device) in self.devices.iter().enumerate() {
            if state.lookouts[index].waits && state.scheduler.has_ahead(index, now) {
                device.lookout.notify_one();
            }
        }
    }

    /// The phase has changed.
    fn wake_all(&self) {
        self.work.notify_all();
        self.devices.iter().for_each(|device| device.lookout.notify_one());
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

/// For device threads.
impl<W: Worker> Shared<W> {
    /// Waits for work and binds it. None when the thread should end.
    pub(crate) fn next(&self, device: usize) -> Option<Batch<W>> {
        let mut state = self.lock();
        loop {
            if state.phase >= Phase::Lost {
                return None;
            }
            let now = self.clock.now();
            let Pull { bound, expired } = state.scheduler.pull(device, now);
            if bound.is_none() && expired.is_empty() {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let missed = answer_waiting(expired, &Failure::DeadlinePassed);
            let batch = bound.map(|bound| self.bind(&mut state, device, bound));
            let closed = state.scheduler.take_closed();
            let more = state.scheduler.waiting().0 > 0;
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
                if more {
                    self.work.notify_one();
                }
                return batch;
            }
            state = self.lock();
        }
    }

    /// Binds what can be given to the device while its batch runs, if there is such a thing now.
    pub(crate) fn next_ahead(&self, device: usize) -> Option<Batch<W>> {
        let mut state = self.lock();
        if state.phase >= Phase::Lost {
            return None;
        }
        let bound = state.scheduler.pull_ahead(device, self.clock.now())?;
        Some(self.bind_ahead(state, device, bound))
    }

    /// Waits for something that can be given to the device while it works on the batch numbered `running`. None when the
    /// device has ended that before, or the thread should end.
    pub(crate) fn next_before_end(&self, device: usize, running: u64) -> Option<Batch<W>> {
        let mut state = self.lock();
        while state.phase < Phase::Lost && state.lookouts[device].ended < running {
            if let Some(bound) = state.scheduler.pull_ahead(device, self.clock.now()) {
                return Some(self.bind_ahead(state, device, bound));
            }
            state.lookouts[device].waits = true;
            state = self.devices[device].lookout.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.lookouts[device].waits = false;
        }
        None
    }

    /// The device has ended the batch with this number, well or not.
    pub(crate) fn ended(&self, device: usize, batch: u64) {
        self.lock().lookouts[device].ended = batch;
        self.devices[device].lookout.notify_one();
    }

    fn bind_ahead(
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
        self.watch(state, device);
        let split = |Waiting { queued_at, payload: Pending { job, sender }, .. }: Waiting<Pending<W>>| {
            (job, Some(Reply { sender, queued_at }))
        };
        let (jobs, places) = bound.jobs.into_iter().map(split).unzip();
        state.next_batch += 1;
        let number = state.next_batch;
        state.replies[device].push(Replies { batch: number, places });
        Batch { device, number, key: bound.key, line: bound.line, jobs }
    }

    /// When the device should have ended its batch, for `health`.
    fn watch(&self, state: &State<W>, device: usize) {
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
            if sender.send(Ok(Done { output, queued, ran, batch_size })).is_err() {
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
        self.watch(&state, batch.device);
        self.publish(&state);
        // What this device takes next may leave another one a batch that it would not have had.
        self.wake_lookouts(&state, now);
        drop(state);
        drop(batch);
    }

    pub(crate) fn ran(&self, line: LineId, size: usize, ran: Duration) {
        let now = self.clock.now();
        self.lock().scheduler.observe(line, size, ran, now);
    }

    pub(crate) fn out_of_memory(&self, line: LineId, size: usize) {
        self.lock().scheduler.out_of_memory(line, size);
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
