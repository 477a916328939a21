//! Who waits, what runs, and what follows from it. No clock and no thread: the [`Batcher`](crate::Batcher) brings
//! those, and tests bring their own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cost::CostModel;
use crate::error::Refused;
use crate::line::{Line, LineId, Profile, Waiting};
use crate::policy::{self, Ahead, Decision, Newcomer};

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

/// Whether jobs that are submitted have been checked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// They have not: they need the margin.
    Only,
    /// They have, with the margin, and the work of making them ready is done: being in time is enough, by the same account
    /// as at the binding.
    Second,
}

/// A batch that has been bound to a device.
#[derive(Debug)]
pub struct Bound<K, T> {
    /// Its jobs' key.
    pub key: K,
    /// Its jobs' line.
    pub line: LineId,
    /// Its jobs, in order of arrival.
    pub jobs: Vec<Waiting<T>>,
}

/// What a free device finds.
#[derive(Debug)]
pub struct Pull<K, T> {
    /// The batch to run, if anything waits.
    pub bound: Option<Bound<K, T>>,
    /// Jobs of any line that can no longer be in time, with their key. They are out of the queue.
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
    /// How long one more job would wait for its answer.
    pub predicted_wait: Duration,
    /// `T(b)`, as it is estimated now.
    pub cost: CostModel,
}

/// A batch on a device.
#[derive(Clone, Copy, Debug)]
struct Running {
    line: LineId,
    takes: Duration,
    due: Instant,
}

/// The state of all queues and devices. `K` is what the jobs of a queue have in common, `T` a job.
#[derive(Debug)]
pub struct Scheduler<K, T> {
    lines: Vec<Line<K, T>>,
    /// By device: the batch that it works on, and the one that has been given to it ahead.
    running: Vec<VecDeque<Running>>,
    limits: Limits,
    margin: f64,
    jobs: usize,
    bytes: usize,
    next_id: u64,
}

impl<K: Clone, T> Scheduler<K, T> {
    /// No queue yet, and `devices` idle devices. `margin` is the share of its predicted wait that a job must have to
    /// spare before its deadline.
    pub fn new(devices: usize, limits: Limits, margin: f64) -> Self {
        Self {
            lines: Vec::new(),
            running: vec![VecDeque::new(); devices],
            limits,
            margin,
            jobs: 0,
            bytes: 0,
            next_id: 0,
        }
    }

    /// Opens a queue.
    pub fn open(&mut self, key: K, profile: Profile) -> LineId {
        let id = LineId(self.take_id());
        self.lines.push(Line::new(id, key, profile));
        id
    }

    /// Closes a queue: what waits in it still runs.
    pub fn close(&mut self, line: LineId) {
        if let Some(line) = self.line_mut(line) {
            line.closed = true;
        }
    }

    /// Takes out the closed queues that are empty, so that their keys can be dropped where that may take long.
    pub fn take_closed(&mut self) -> Vec<Line<K, T>> {
        self.lines.extract_if(.., |line| line.closed && line.waiting.is_empty()).collect()
    }

    /// Whether `count` more jobs of `bytes` together would be admitted; if so, their predicted wait until their answer.
    ///
    /// # Panics
    /// When the line has been closed and taken out.
    pub fn check(
        &mut self,
        line: LineId,
        count: usize,
        bytes: usize,
        deadline: Instant,
        now: Instant,
    ) -> Result<Duration, Refused> {
        self.check_with(self.margin, line, count, bytes, deadline, now)
    }

    fn check_with(
        &mut self,
        margin: f64,
        line: LineId,
        count: usize,
        bytes: usize,
        deadline: Instant,
        now: Instant,
    ) -> Result<Duration, Refused> {
        let index = self.index(line).expect("a line stays while something can be submitted to it");
        // Of a line that neither waits nor runs nothing may have been observed for long, whatever other lines keep the devices
        // busy with. One that runs will be, however long it takes.
        let runs = self.running.iter().flatten().any(|running| running.line == line);
        if self.lines[index].waiting.is_empty() && !runs {
            self.lines[index].cost.refresh(now);
        }
        let free = self.free_at(now);
        if self.jobs + count > self.limits.jobs || self.bytes.saturating_add(bytes) > self.limits.bytes {
            let drained = policy::forecast(&self.lines, &free, None, now).drained;
            return Err(Refused::Full { retry_after: drained - now });
        }
        let newcomer = Newcomer { line: index, count, deadline };
        policy::admit(&self.lines, &free, newcomer, margin, now)
            .map_err(|late| Refused::Late { retry_after: late.drain })
    }

    /// Queues `jobs` (each with its bytes), all or none. Answers their ids.
    ///
    /// # Panics
    /// When the line has been closed and taken out.
    pub fn submit(
        &mut self,
        line: LineId,
        jobs: Vec<(T, usize)>,
        deadline: Instant,
        now: Instant,
    ) -> Result<Vec<u64>, Refused> {
        self.submit_as(Look::Only, line, jobs, deadline, now)
    }

    /// [`submit`](Self::submit), of jobs that may have been checked before.
    ///
    /// # Panics
    /// When the line has been closed and taken out.
    pub fn submit_as(
        &mut self,
        look: Look,
        line: LineId,
        jobs: Vec<(T, usize)>,
        deadline: Instant,
        now: Instant,
    ) -> Result<Vec<u64>, Refused> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = jobs.iter().fold(0, |sum: usize, (_, bytes)| sum.saturating_add(*bytes));
        let margin = match look {
            Look::Only => self.margin,
            Look::Second => 0.0,
        };
        let checked = self.check_with(margin, line, jobs.len(), bytes, deadline, now);
        let index = self.index(line).expect("checked just now");
        self.lines[index].arrivals.observe(jobs.len(), now);
        checked?;
        self.jobs += jobs.len();
        self.bytes += bytes;
        Ok(jobs
            .into_iter()
            .map(|(payload, bytes)| {
                let id = self.take_id();
                let waiting = Waiting { id, deadline, queued_at: now, bytes, payload };
                self.lines[index].waiting.push_back(waiting);
                id
            })
            .collect())
    }

    /// Takes out a job that still waits, because its caller has left. Its place is free at once.
    pub fn cancel(&mut self, line: LineId, id: u64) -> Option<(K, Waiting<T>)> {
        let line = self.line_mut(line)?;
        let (waiting, key) = (line.remove(id)?, line.key.clone());
        self.release(&waiting);
        Some((key, waiting))
    }

    /// What the idle `device` runs next. The binding is as late as can be: what comes after this call waits for the
    /// next batch.
    pub fn pull(&mut self, device: usize, now: Instant) -> Pull<K, T> {
        let expired = self.take_expired(now);
        let Decision::Bind { line, span, .. } = policy::decide(&self.lines, now) else {
            return Pull { bound: None, expired };
        };
        let line = &mut self.lines[line];
        let jobs: Vec<_> = line.waiting.drain(..span).collect();
        let bound = Bound { key: line.key.clone(), line: line.id, jobs };
        let takes = line.cost.time(span);
        self.running[device] = VecDeque::from([Running { line: line.id, takes, due: now + takes }]);
        bound.jobs.iter().for_each(|job| self.release(job));
        Pull { bound: Some(bound), expired }
    }

    /// What a `device` that runs one batch can be given already, so that it goes on without a pause. Only a batch that
    /// nobody could join any more, and that is in time after the one that runs; so nothing is lost by binding it now.
    pub fn pull_ahead(&mut self, device: usize, now: Instant) -> Option<Bound<K, T>> {
        let (Ahead { line, from, size }, free) = self.ahead(device, now)?;
        let line = &mut self.lines[line];
        let jobs: Vec<_> = line.waiting.drain(from..from + size).collect();
        let bound = Bound { key: line.key.clone(), line: line.id, jobs };
        let takes = line.cost.time(size);
        self.running[device].push_back(Running { line: line.id, takes, due: free + takes });
        bound.jobs.iter().for_each(|job| self.release(job));
        Some(bound)
    }

    /// Whether [`pull_ahead`](Self::pull_ahead) would find something.
    pub fn has_ahead(&self, device: usize, now: Instant) -> bool {
        self.ahead(device, now).is_some()
    }

    /// What the device can be given ahead, and when it will come to it.
    fn ahead(&self, device: usize, now: Instant) -> Option<(Ahead, Instant)> {
        if self.running[device].len() != 1 {
            return None;
        }
        let free = self.free_at(now);
        Some((policy::ahead(&self.lines, &free, device)?, free[device]))
    }

    /// A batch of `size` of the line has run for `ran`, on whatever device.
    pub fn observe(&mut self, line: LineId, size: usize, ran: Duration, now: Instant) {
        if let Some(line) = self.line_mut(line) {
            line.cost.observe(size, ran, now);
        }
    }

    /// A batch of `size` of the line did not fit the device's memory.
    pub fn out_of_memory(&mut self, line: LineId, size: usize) {
        if let Some(line) = self.line_mut(line) {
            line.cost.lower_limit(size);
        }
    }

    /// Encoding one answer of the line took this long. The running mean counts.
    pub fn observe_codec(&mut self, line: LineId, took: Duration) {
        if let Some(line) = self.line_mut(line) {
            line.codec = line.codec.mul_f64(0.875) + took.mul_f64(0.125);
        }
    }

    /// The device has answered its batch. It is idle, or works on the one that it was given ahead.
    pub fn finished(&mut self, device: usize, now: Instant) {
        self.running[device].pop_front();
        if let Some(next) = self.running[device].front_mut() {
            next.due = now + next.takes;
        }
    }

    /// The device will not answer what it runs.
    pub fn abandoned(&mut self, device: usize) {
        self.running[device].clear();
    }

    /// Takes out everything that waits, with its key.
    pub fn take_all(&mut self) -> Vec<(K, Waiting<T>)> {
        (self.jobs, self.bytes) = (0, 0);
        let all = self.lines.iter_mut().flat_map(|line| {
            let key = line.key.clone();
            line.waiting.drain(..).map(move |waiting| (key.clone(), waiting))
        });
        all.collect()
    }

    /// Nothing waits and nothing runs.
    pub fn is_idle(&self) -> bool {
        self.jobs == 0 && self.running.iter().all(VecDeque::is_empty)
    }

    /// Jobs that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        (self.jobs, self.bytes)
    }

    /// When the batch that the device works on is expected to end, if one runs.
    pub fn due(&self, device: usize) -> Option<Instant> {
        self.running[device].front().map(|running| running.due)
    }

    /// Every queue as it is now.
    pub fn status(&self, now: Instant) -> Vec<QueueStatus<K>> {
        let free = self.free_at(now);
        let status = |(index, line): (usize, &Line<K, T>)| QueueStatus {
            key: line.key.clone(),
            depth: line.waiting.len(),
            bytes: line.waiting.iter().map(|waiting| waiting.bytes).sum(),
            oldest_age: line.waiting.front().map_or(Duration::ZERO, |oldest| now - oldest.queued_at),
            predicted_wait: policy::predicted_wait(&self.lines, &free, index, now),
            cost: line.cost.clone(),
        };
        self.lines.iter().enumerate().map(status).collect()
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
        for line in &mut self.lines {
            let alone = line.answered(1, now);
            let mut place = 0;
            while place < line.waiting.len() {
                if line.waiting[place].deadline < alone {
                    expired.extend(line.waiting.remove(place).map(|waiting| (line.key.clone(), waiting)));
                } else {
                    place += 1;
                }
            }
        }
        expired.iter().for_each(|(_, waiting)| self.release(waiting));
        expired
    }

    fn release(&mut self, waiting: &Waiting<T>) {
        self.jobs -= 1;
        self.bytes -= waiting.bytes;
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn index(&self, id: LineId) -> Option<usize> {
        self.lines.iter().position(|line| line.id == id)
    }

    fn line_mut(&mut self, id: LineId) -> Option<&mut Line<K, T>> {
        self.lines.iter_mut().find(|line| line.id == id)
    }
}
