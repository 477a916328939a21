//! Who waits, what runs, and what follows from it. No clock and no thread: the [`Batcher`](crate::Batcher) brings
//! those, and tests bring their own.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::cost::CostModel;
use crate::error::Refused;
use crate::job_queue::{JobQueue, QueueId, Waiting};
use crate::policy::{self, Decision, Newcomer, Prefetch};

/// What may wait at most, whatever the predicted wait. Guards the memory, not the latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs over all queues.
    pub jobs: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for Limits {
    /// 1024 jobs, 1 GiB.
    fn default() -> Self {
        Self { jobs: 1024, bytes: 1 << 30 }
    }
}

/// Whether jobs that are submitted have a place already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They have none: they need one, and the margin.
    Fresh,
    /// They have: [`Scheduler::reserve`] has weighed them, and checked them with the margin. There is room whatever they turned
    /// out to hold, and being in time is enough, by the same account as at the binding.
    Reserved,
}

/// Places in a queue, for jobs that are being made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// How many jobs.
    pub count: usize,
    /// Memory that they will hold together, as far as is known before they are made ready.
    pub bytes: usize,
}

/// A batch that has been bound to a device.
#[derive(Debug)]
pub struct Bound<K, T> {
    /// Its jobs' key.
    pub key: K,
    /// Its jobs' queue.
    pub queue: QueueId,
    /// Its jobs, in order of arrival.
    pub jobs: Vec<Waiting<T>>,
}

/// What a free device finds.
#[derive(Debug)]
pub struct Pull<K, T> {
    /// The batch to run, if anything waits.
    pub bound: Option<Bound<K, T>>,
    /// Jobs of any queue that can no longer be in time, with their key. They are out of the queue.
    pub expired: Vec<(K, Waiting<T>)>,
}

/// A queue at a moment.
#[derive(Clone, Debug)]
pub struct QueueStatus<K> {
    /// Its key.
    pub key: K,
    /// Jobs that wait.
    pub depth: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How long the first of them has waited.
    pub oldest_age: Duration,
    /// How long one more job would wait until its batch has ended.
    pub predicted_wait: Duration,
    /// `T(b)`, as it is estimated now.
    pub cost: CostModel,
}

/// A batch on a device.
#[derive(Clone, Copy, Debug)]
struct Running {
    queue: QueueId,
    takes: Duration,
    due: Instant,
}

/// The state of all queues and devices. `K` is what the jobs of a queue have in common, `T` a job.
#[derive(Debug)]
pub struct Scheduler<K, T> {
    queues: Vec<JobQueue<K, T>>,
    /// By device: the batch that it works on, and the one that has been given to it ahead.
    running: Vec<VecDeque<Running>>,
    limits: Limits,
    margin: f64,
    waiting: Held,
    reserved: Held,
    /// Grows with every change of what waits, is reserved or runs.
    version: u64,
    refused: Option<Refusal>,
    next_id: u64,
}

/// Jobs and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    jobs: usize,
    bytes: usize,
}

impl Held {
    fn add(&mut self, jobs: usize, bytes: usize) {
        self.jobs += jobs;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn remove(&mut self, jobs: usize, bytes: usize) {
        self.jobs -= jobs;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The last newcomers that a forecast refused. Until something changes, those that ask for as much are refused
/// without another.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    version: u64,
    newcomer: Newcomer,
    retry_at: Instant,
    /// Fewer arrivals than were expected may make room.
    until: Instant,
}

/// How long a forecast's refusal stands for those that ask for as much.
const REFUSAL_STANDS: Duration = Duration::from_millis(100);

impl Refusal {
    fn covers(&self, version: u64, newcomer: &Newcomer, now: Instant) -> bool {
        self.version == version
            && now <= self.until
            && self.newcomer.queue == newcomer.queue
            && self.newcomer.count <= newcomer.count
            && self.newcomer.deadline >= newcomer.deadline
    }
}

impl<K: Clone, T> Scheduler<K, T> {
    /// No queue yet, and `devices` idle devices. `margin` is the share of its predicted wait that a job must have to
    /// spare before its deadline.
    pub fn new(devices: usize, limits: Limits, margin: f64) -> Self {
        Self {
            queues: Vec::new(),
            running: vec![VecDeque::new(); devices],
            limits,
            margin,
            waiting: Held::default(),
            reserved: Held::default(),
            version: 0,
            refused: None,
            next_id: 0,
        }
    }

    /// Opens a queue whose batches cost `cost`.
    pub fn open(&mut self, key: K, cost: CostModel) -> QueueId {
        let id = QueueId(self.take_id());
        self.queues.push(JobQueue::new(id, key, cost));
        self.changed();
        id
    }

    /// Closes a queue: what waits in it still runs.
    pub fn close(&mut self, queue: QueueId) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.closed = true;
        }
    }

    /// Takes out the closed queues that are empty, so that their keys can be dropped where that may take long.
    pub fn take_closed(&mut self) -> Vec<JobQueue<K, T>> {
        let closed: Vec<_> =
            self.queues.extract_if(.., |queue| queue.closed && queue.waiting.is_empty()).collect();
        if !closed.is_empty() {
            self.changed(); // the others have moved up
        }
        closed
    }

    /// Takes places for jobs that are made ready meanwhile: whoever asks later is told as if they waited already. Answers
    /// their predicted wait until their batch has ended.
    ///
    /// # Errors
    /// When they would not be admitted now. Nothing is taken then.
    ///
    /// # Panics
    /// When the queue has been closed and taken out.
    pub fn reserve(
        &mut self,
        queue: QueueId,
        places: Places,
        deadline: Instant,
        now: Instant,
    ) -> Result<Duration, Refused> {
        let wait = self.check(Admission::Fresh, queue, places.count, places.bytes, deadline, now)?;
        let index = self.index(queue).expect("checked just now");
        self.queues[index].reserved += places.count;
        self.reserved.add(places.count, places.bytes);
        self.changed();
        Ok(wait)
    }

    /// The least time that `count` jobs have ever taken on one device; none for a queue that is gone.
    pub fn least_time(&self, queue: QueueId, count: usize) -> Duration {
        self.index(queue).map_or(Duration::ZERO, |index| self.queues[index].cost.fastest(count))
    }

    /// Whether `count` jobs have ever ended within `allowed`, margin included. An idle queue that they do not fit doubts
    /// its estimates, so that one that is wrong does not refuse for ever.
    ///
    /// # Errors
    /// With the least time that they need.
    pub fn check_least(
        &mut self,
        queue: QueueId,
        count: usize,
        allowed: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        let idle = self.is_idle();
        let Some(index) = self.index(queue) else { return Ok(()) };
        let cost = &mut self.queues[index].cost;
        let least = cost.fastest(count).mul_f64(1.0 + self.margin);
        if least <= allowed {
            return Ok(());
        }
        if idle {
            cost.doubt(now);
            self.changed();
        }
        Err(least)
    }

    /// Gives places back that were reserved, submitted to or not.
    pub fn release(&mut self, queue: QueueId, places: Places) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.reserved -= places.count;
        }
        self.reserved.remove(places.count, places.bytes);
        self.changed();
    }

    fn check(
        &mut self,
        admission: Admission,
        queue: QueueId,
        count: usize,
        bytes: usize,
        deadline: Instant,
        now: Instant,
    ) -> Result<Duration, Refused> {
        let fresh = admission == Admission::Fresh;
        let index = self.index(queue).expect("a queue stays while something can be submitted to it");
        // Of a queue that neither waits nor runs nothing may have been observed for long, whatever other queues keep the
        // devices busy with. One that runs will be, however long it takes.
        let runs = self.running.iter().flatten().any(|running| running.queue == queue);
        if self.queues[index].waiting.is_empty() && !runs {
            let refreshed = self.queues[index].cost.refresh(now);
            self.version += u64::from(refreshed);
        }
        let free = self.free_at(now);
        let (jobs, held) = (
            self.waiting.jobs + self.reserved.jobs + count,
            self.waiting.bytes.saturating_add(self.reserved.bytes).saturating_add(bytes),
        );
        if fresh && (jobs > self.limits.jobs || held > self.limits.bytes) {
            return Err(Refused::Full { retry_after: policy::drain(&self.queues, &free, now) });
        }
        let newcomer = Newcomer { queue: index, count: self.queues[index].reserved + count, deadline };
        let known = self.refused.filter(|refused| refused.covers(self.version, &newcomer, now));
        if let Some(refused) = known.filter(|_| fresh) {
            return Err(Refused::Late { retry_after: refused.retry_at.saturating_duration_since(now) });
        }
        let margin = if fresh { self.margin } else { 0.0 };
        let idle = self.is_idle();
        policy::admit(&self.queues, &free, newcomer, margin, now).map_err(|late| {
            if idle {
                self.queues[index].cost.doubt(now);
                self.version += 1;
            }
            let retry_at = now + late.drain;
            if fresh {
                let until = now + REFUSAL_STANDS;
                self.refused = Some(Refusal { version: self.version, newcomer, retry_at, until });
            }
            Refused::Late { retry_after: late.drain }
        })
    }

    /// Queues `jobs` (each with its bytes), all or none. Answers their ids.
    ///
    /// # Errors
    /// When the bounds are reached, or they, or jobs that wait, would be late.
    ///
    /// # Panics
    /// When the queue has been closed and taken out.
    pub fn submit(
        &mut self,
        queue: QueueId,
        jobs: Vec<(T, usize)>,
        deadline: Instant,
        now: Instant,
    ) -> Result<Vec<u64>, Refused> {
        self.submit_as(Admission::Fresh, queue, jobs, deadline, now)
    }

    /// [`submit`](Self::submit), of jobs that may have had a place, which has been [released](Self::release).
    ///
    /// # Errors
    /// As [`submit`](Self::submit); those that had a place only when they would be late.
    ///
    /// # Panics
    /// When the queue has been closed and taken out.
    pub fn submit_as(
        &mut self,
        admission: Admission,
        queue: QueueId,
        jobs: Vec<(T, usize)>,
        deadline: Instant,
        now: Instant,
    ) -> Result<Vec<u64>, Refused> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = jobs.iter().fold(0, |sum: usize, (_, bytes)| sum.saturating_add(*bytes));
        let checked = self.check(admission, queue, jobs.len(), bytes, deadline, now);
        let index = self.index(queue).expect("checked just now");
        self.queues[index].arrivals.observe(jobs.len(), now);
        checked?;
        self.waiting.add(jobs.len(), bytes);
        self.queues[index].waiting_bytes += bytes;
        self.changed();
        Ok(jobs
            .into_iter()
            .map(|(payload, bytes)| {
                let id = self.take_id();
                let waiting = Waiting { id, deadline, queued_at: now, bytes, payload };
                self.queues[index].waiting.push_back(waiting);
                id
            })
            .collect())
    }

    /// Takes out a job that still waits, because its caller has left. Its place is free at once.
    pub fn cancel(&mut self, queue: QueueId, id: u64) -> Option<(K, Waiting<T>)> {
        let queue = self.queue_mut(queue)?;
        let (waiting, key) = (queue.remove(id)?, queue.key.clone());
        self.taken(1, waiting.bytes);
        Some((key, waiting))
    }

    /// What the idle `device` runs next. The binding is as late as can be: what comes after this call waits for the
    /// next batch.
    pub fn pull(&mut self, device: usize, now: Instant) -> Pull<K, T> {
        let expired = self.take_expired(now);
        let Decision::Bind { queue, span, .. } = policy::decide(&self.queues, now) else {
            return Pull { bound: None, expired };
        };
        let (bound, takes) = self.bind(queue, 0..span);
        self.running[device] = VecDeque::from([Running { queue: bound.queue, takes, due: now + takes }]);
        Pull { bound: Some(bound), expired }
    }

    /// What a `device` that runs one batch can be given already, so that it goes on without a pause. Only a batch that
    /// nobody could join any more, and that is in time after the one that runs; so nothing is lost by binding it now.
    pub fn prefetch(&mut self, device: usize, now: Instant) -> Option<Bound<K, T>> {
        let (Prefetch { queue, from, size }, free) = self.ahead(device, now)?;
        let (bound, takes) = self.bind(queue, from..from + size);
        self.running[device].push_back(Running { queue: bound.queue, takes, due: free + takes });
        Some(bound)
    }

    /// Whether [`prefetch`](Self::prefetch) would find something.
    pub fn has_prefetch(&self, device: usize, now: Instant) -> bool {
        self.ahead(device, now).is_some()
    }

    /// What the device can be given ahead, and when it will come to it.
    fn ahead(&self, device: usize, now: Instant) -> Option<(Prefetch, Instant)> {
        if self.running[device].len() != 1 {
            return None;
        }
        let free = self.free_at(now);
        Some((policy::ahead(&self.queues, &free, device)?, free[device]))
    }

    /// Takes the jobs of a range out of a queue. Also how long their batch is expected to take.
    fn bind(&mut self, index: usize, range: Range<usize>) -> (Bound<K, T>, Duration) {
        let queue = &mut self.queues[index];
        let jobs: Vec<_> = queue.waiting.drain(range).collect();
        let bytes = jobs.iter().map(|job| job.bytes).sum();
        queue.waiting_bytes -= bytes;
        let takes = queue.cost.time(jobs.len());
        let bound = Bound { key: queue.key.clone(), queue: queue.id, jobs };
        self.taken(bound.jobs.len(), bytes);
        (bound, takes)
    }

    /// A batch of `size` of the queue has run for `ran`, on whatever device.
    pub fn observe(&mut self, queue: QueueId, size: usize, ran: Duration, now: Instant) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.cost.observe(size, ran, now);
        }
        self.changed();
    }

    /// A batch of `size` of the queue did not fit the device's memory.
    pub fn out_of_memory(&mut self, queue: QueueId, size: usize) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.cost.lower_limit(size);
        }
        self.changed();
    }

    /// The device has answered its batch. It is idle, or works on the one that it was given ahead.
    pub fn finished(&mut self, device: usize, now: Instant) {
        self.changed();
        self.running[device].pop_front();
        if let Some(next) = self.running[device].front_mut() {
            next.due = now + next.takes;
        }
    }

    /// The device will not answer what it runs.
    pub fn abandoned(&mut self, device: usize) {
        self.changed();
        self.running[device].clear();
    }

    /// Takes out everything that waits, with its key.
    pub fn take_all(&mut self) -> Vec<(K, Waiting<T>)> {
        self.waiting = Held::default();
        self.changed();
        let all = self.queues.iter_mut().flat_map(|queue| {
            queue.waiting_bytes = 0;
            let key = queue.key.clone();
            queue.waiting.drain(..).map(move |waiting| (key.clone(), waiting))
        });
        all.collect()
    }

    /// Nothing waits and nothing runs.
    pub fn is_idle(&self) -> bool {
        self.waiting.jobs == 0 && self.running.iter().all(VecDeque::is_empty)
    }

    /// Jobs that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        (self.waiting.jobs, self.waiting.bytes)
    }

    /// When the batch that the device works on is expected to end, if one runs.
    pub fn due(&self, device: usize) -> Option<Instant> {
        self.running[device].front().map(|running| running.due)
    }

    /// Every queue as it is now.
    pub fn status(&self, now: Instant) -> Vec<QueueStatus<K>> {
        let free = self.free_at(now);
        let status = |(index, queue): (usize, &JobQueue<K, T>)| QueueStatus {
            key: queue.key.clone(),
            depth: queue.waiting.len(),
            bytes: queue.waiting_bytes,
            oldest_age: queue.waiting.front().map_or(Duration::ZERO, |oldest| now - oldest.queued_at),
            predicted_wait: policy::predicted_wait(&self.queues, &free, index, now),
            cost: queue.cost.clone(),
        };
        self.queues.iter().enumerate().map(status).collect()
    }

    /// When each device becomes free. A batch that has overrun is expected to need as long again as it has overrun,
    /// so that a device that hangs soon admits nothing.
    fn free_at(&self, now: Instant) -> Vec<Instant> {
        let free = |running: &VecDeque<Running>| {
            let mut running = running.iter();
            let Some(Running { due, .. }) = running.next() else { return now };
            let first = *due.max(&(now + now.saturating_duration_since(*due)));
            running.fold(first, |free, ahead| free + ahead.takes)
        };
        self.running.iter().map(free).collect()
    }

    fn take_expired(&mut self, now: Instant) -> Vec<(K, Waiting<T>)> {
        let mut expired = Vec::new();
        for queue in &mut self.queues {
            let alone = queue.ends_by(1, now);
            if queue.waiting.iter().all(|waiting| waiting.deadline >= alone) {
                continue;
            }
            let all = std::mem::take(&mut queue.waiting);
            for waiting in all {
                if waiting.deadline < alone {
                    queue.waiting_bytes -= waiting.bytes;
                    expired.push((queue.key.clone(), waiting));
                } else {
                    queue.waiting.push_back(waiting);
                }
            }
        }
        if !expired.is_empty() {
            self.taken(expired.len(), expired.iter().map(|(_, waiting)| waiting.bytes).sum());
        }
        expired
    }

    /// Jobs no longer wait.
    fn taken(&mut self, jobs: usize, bytes: usize) {
        self.waiting.remove(jobs, bytes);
        self.changed();
    }

    fn changed(&mut self) {
        self.version += 1;
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn index(&self, id: QueueId) -> Option<usize> {
        self.queues.iter().position(|queue| queue.id == id)
    }

    fn queue_mut(&mut self, id: QueueId) -> Option<&mut JobQueue<K, T>> {
        self.queues.iter_mut().find(|queue| queue.id == id)
    }
}
