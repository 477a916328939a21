//! What runs next, and who may join. No clock, no thread, no state: callers pass in what they know.
//!
//! The wait of a newcomer is not estimated by a formula. [`forecast`] runs [`decide`] forward in imagined time,
//! so that what is promised at admission is what the same policy will do.

use std::time::{Duration, Instant};

use crate::job_queue::JobQueue;

/// What a free device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing waits.
    Idle,
    /// Take the first `span` jobs of queue `queue`. `size` of them run as one batch; the others, which can no longer
    /// be in time even alone, are answered so. `size` is 0 when that is all of them.
    Bind {
        /// Index of the queue.
        queue: usize,
        /// Jobs to take from its front.
        span: usize,
        /// Jobs of those that run.
        size: usize,
        /// Whether nobody who comes could still join them.
        full: bool,
    },
}

/// Jobs that ask to join a queue together.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    /// Index of the queue.
    pub queue: usize,
    /// How many.
    pub count: usize,
    /// When their answer is due.
    pub deadline: Instant,
}

/// What [`decide`] will do with everything that waits.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// Jobs that will not be in time.
    pub missed: usize,
    /// When the last batch ends.
    pub drained: Instant,
    /// Where the last of the newcomers runs; none if it would not be in time.
    pub newcomer: Option<Placed>,
}

/// A job's place in the forecast.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// When its batch is bound.
    pub bound: Instant,
    /// Jobs in its batch so far.
    pub size: usize,
    /// When its batch ends.
    pub finished: Instant,
}

/// A batch for a device that still runs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// Index of the queue.
    pub queue: usize,
    /// The place of its first job.
    pub from: usize,
    /// Its jobs.
    pub size: usize,
}

/// Why a newcomer is not admitted: it, or somebody admitted before, would miss the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Time until all that is admitted has run.
    pub drain: Duration,
}

/// Chooses the next batch for a device that is free at `now`: from the queue whose next batch has the earliest
/// deadline (on equal ones, the longest wait), first come first served within the queue, up to the knee of its cost
/// model, and no more than lets every member be in time.
pub fn decide<K, T>(queues: &[JobQueue<K, T>], now: Instant) -> Decision {
    decide_from(queues, &vec![0; queues.len()], None, now)
}

/// The batch that [`decide`] is going to choose for `device`, which is busy until `free[device]`: the one after those of
/// devices that are free before it. None while somebody could still join it: to bind it would only make it smaller.
pub fn ahead<K, T>(queues: &[JobQueue<K, T>], free: &[Instant], device: usize) -> Option<Prefetch> {
    let mut free = free.to_vec();
    let mut taken = vec![0; queues.len()];
    loop {
        let next = (0..free.len()).min_by_key(|&device| free[device])?;
        let Decision::Bind { queue, span, size, full } = decide_from(queues, &taken, None, free[next]) else {
            return None;
        };
        if next == device {
            return (full && size == span).then(|| Prefetch { queue, from: taken[queue], size });
        }
        taken[queue] += span;
        if size > 0 {
            free[next] += queues[queue].cost.time(size);
        }
    }
}

/// Runs [`decide`] forward from `now` until nothing waits. `free[i]` is when device `i` becomes free.
pub fn forecast<K, T>(
    queues: &[JobQueue<K, T>],
    free: &[Instant],
    newcomer: Option<Newcomer>,
    now: Instant,
) -> Forecast {
    let mut free: Vec<Instant> = free.iter().map(|&at| at.max(now)).collect();
    let mut taken = vec![0; queues.len()];
    let mut forecast =
        Forecast { missed: 0, drained: free.iter().copied().max().unwrap_or(now), newcomer: None };
    while let Some(device) = (0..free.len()).min_by_key(|&device| free[device]) {
        let bound = free[device];
        let Decision::Bind { queue, span, size, .. } = decide_from(queues, &taken, newcomer, bound) else {
            break;
        };
        taken[queue] += span;
        forecast.missed += span - size;
        if size == 0 {
            continue;
        }
        let finished = bound + queues[queue].cost.time(size);
        free[device] = finished;
        forecast.drained = forecast.drained.max(finished);
        let last_of =
            |new: &Newcomer| new.queue == queue && taken[queue] == queues[queue].waiting.len() + new.count;
        if newcomer.as_ref().is_some_and(last_of) {
            forecast.newcomer = Some(Placed { bound, size, finished });
        }
    }
    forecast
}

/// Admits the newcomer when its batch ends in time with `margin` (a share of its wait) to spare, and when it makes
/// nobody late who would be in time without it. Answers its predicted wait until its batch has ended.
///
/// Its batch is taken to be as full as the arrivals until it is bound will make it, not as full as it is now:
/// otherwise every batch's first job is admitted with nothing to spare, and under overload the batches stay small.
pub fn admit<K, T>(
    queues: &[JobQueue<K, T>],
    free: &[Instant],
    newcomer: Newcomer,
    margin: f64,
    now: Instant,
) -> Result<Duration, Late> {
    let least = earliest_end(&queues[newcomer.queue], free, newcomer.count, now) - now;
    if now + least.mul_f64(1.0 + margin) > newcomer.deadline {
        return Err(Late { drain: drain(queues, free, now) }); // without imagining anything
    }
    let with = forecast(queues, free, Some(newcomer), now);
    let wait = with.newcomer.map(|placed| ends_at(&queues[newcomer.queue], placed, now) - now);
    let in_time = wait.filter(|wait| now + wait.mul_f64(1.0 + margin) <= newcomer.deadline);
    if let Some(wait) = in_time
        && with.missed == 0
    {
        return Ok(wait);
    }
    let without = forecast(queues, free, None, now);
    in_time.filter(|_| with.missed <= without.missed).ok_or(Late { drain: without.drained - now })
}

/// When the last of `count` newcomers' batch has ended, if all devices work for their queue alone: no forecast says less.
/// First come, first served: full batches of who came before run first, or beside on other devices.
fn earliest_end<K, T>(queue: &JobQueue<K, T>, free: &[Instant], count: usize, now: Instant) -> Instant {
    let first_free = free.iter().copied().min().unwrap_or(now).max(now);
    let before = (queue.waiting.len() + count).saturating_sub(1);
    let rounds = before / queue.cost.knee() / free.len().max(1);
    first_free + times(queue.cost.time(queue.cost.knee()), rounds) + queue.cost.time(1)
}

/// About how long until all that waits has run: its full batches, spread over the devices. Looks at no job.
pub fn drain<K, T>(queues: &[JobQueue<K, T>], free: &[Instant], now: Instant) -> Duration {
    spread(free, queues.iter().map(|queue| work(queue, queue.waiting.len())).sum(), now)
}

/// About how long one more job without a deadline would wait in queue `queue` until its batch has ended, which is then as
/// full as arrivals will have made it: behind all that waits. Looks at no job.
pub fn predicted_wait<K, T>(
    queues: &[JobQueue<K, T>],
    free: &[Instant],
    queue: usize,
    now: Instant,
) -> Duration {
    let before = queues.iter().map(|queue| work(queue, queue.waiting.len())).sum();
    let own = &queues[queue];
    let bound = spread(free, before, now);
    let joining = own.arrivals.expected(bound, now) as usize;
    let last = own.waiting.len() % own.cost.knee();
    // It joins the last batch, which was counted as it is.
    let size = last.saturating_add(1).saturating_add(joining).min(own.cost.knee());
    let counted = if last == 0 { Duration::ZERO } else { own.cost.time(last) };
    bound + own.cost.time(size).saturating_sub(counted)
}

/// How long `count` jobs of a queue run, in batches of the useful size.
fn work<K, T>(queue: &JobQueue<K, T>, count: usize) -> Duration {
    let (full, rest) = (count / queue.cost.knee(), count % queue.cost.knee());
    let rest = if rest == 0 { Duration::ZERO } else { queue.cost.time(rest) };
    times(queue.cost.time(queue.cost.knee()), full) + rest
}

/// When devices that are free at `free` have done `work` together, from `now`.
fn spread(free: &[Instant], work: Duration, now: Instant) -> Duration {
    let busy = free.iter().map(|free| free.saturating_duration_since(now));
    let devices = free.len().max(1) as u32;
    let together = (busy.clone().sum::<Duration>() + work) / devices;
    // Work that fits beside the longest batch does not wait for it.
    if work.is_zero() { busy.min().unwrap_or_default() } else { together }
}

fn times(time: Duration, count: usize) -> Duration {
    time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// When a placed job's batch ends, as full as it will be by then.
fn ends_at<K, T>(queue: &JobQueue<K, T>, placed: Placed, now: Instant) -> Instant {
    let joining = queue.arrivals.expected(placed.bound - now, now) as usize;
    let size = placed.size.saturating_add(joining).min(queue.cost.knee()).max(placed.size);
    placed.bound + queue.cost.time(size)
}

/// [`decide`], after the first `taken[i]` jobs of each queue have gone and the newcomer has joined.
fn decide_from<K, T>(
    queues: &[JobQueue<K, T>],
    taken: &[usize],
    newcomer: Option<Newcomer>,
    now: Instant,
) -> Decision {
    let next = queues.iter().zip(taken).enumerate().filter_map(|(i, (queue, &taken))| {
        let from = taken.min(queue.waiting.len());
        let joined = newcomer.filter(|new| new.queue == i).into_iter();
        let joined = joined.flat_map(|new| std::iter::repeat_n(new.deadline, new.count)).skip(taken - from);
        let next = next_batch(queue, queue.deadlines(from).chain(joined), now)?;
        let oldest = queue.waiting.get(from).map_or(u64::MAX, |waiting| waiting.id);
        Some((i, next, oldest))
    });
    match next.min_by_key(|(_, next, oldest)| (next.earliest, *oldest)) {
        Some((queue, NextBatch { span, size, full, .. }, _)) => Decision::Bind { queue, span, size, full },
        None => Decision::Idle,
    }
}

struct NextBatch {
    span: usize,
    size: usize,
    earliest: Instant,
    full: bool,
}

/// The batch that a device free at `now` would take from a queue with these `deadlines`.
fn next_batch<K, T>(
    queue: &JobQueue<K, T>,
    deadlines: impl Iterator<Item = Instant>,
    now: Instant,
) -> Option<NextBatch> {
    let alone = queue.ends_by(1, now);
    let mut next: Option<NextBatch> = None;
    for (place, deadline) in deadlines.enumerate() {
        let before = next.as_ref().map_or(0, |next| next.size);
        if deadline < alone {
            // Taken along only while nobody in time was found: those behind the batch are next time's.
            if before == 0 {
                let earliest = next.map_or(deadline, |next| next.earliest.min(deadline));
                next = Some(NextBatch { span: place + 1, size: 0, earliest, full: false });
            }
            continue;
        }
        let earliest = match &next {
            Some(next) if before > 0 => next.earliest.min(deadline),
            _ => deadline,
        };
        if before == queue.cost.knee() || queue.ends_by(before + 1, now) > earliest {
            // First come, first served: who comes later does not join before this one.
            return next.map(|next| NextBatch { full: true, ..next });
        }
        let full = before + 1 == queue.cost.knee();
        next = Some(NextBatch { span: place + 1, size: before + 1, earliest, full });
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cost::CostModel;
    use crate::job_queue::{QueueId, Waiting};

    const MS: Duration = Duration::from_millis(1);

    /// A queue of `depth` jobs that are due in an hour; a batch takes `base` and `each` ms a job.
    fn queue(
        id: u64,
        (depth, base, each, largest): (usize, u32, u32, usize),
        now: Instant,
    ) -> JobQueue<(), ()> {
        let points: Vec<_> = (1..=largest).map(|size| (size, (base + each * size as u32) * MS)).collect();
        let mut queue = JobQueue::new(QueueId(id), (), CostModel::measured(&points).unwrap());
        let deadline = now + Duration::from_secs(3600);
        let job = |job| Waiting { id: 1000 * id + job, deadline, queued_at: now, bytes: 1, payload: () };
        queue.waiting.extend((0..depth as u64).map(job));
        queue
    }

    fn queues() -> impl Strategy<Value = Vec<(usize, u32, u32, usize)>> {
        prop::collection::vec((0..40usize, 1..50u32, 0..20u32, 1..9usize), 1..4)
    }

    proptest! {
        /// What is refused without a forecast, a forecast would refuse too.
        #[test]
        fn no_forecast_is_earlier_than_the_least(
            shapes in queues(),
            free in prop::collection::vec(0..200u32, 1..4),
            count in 1..6usize,
        ) {
            let now = Instant::now();
            let queues: Vec<_> = (0..).zip(&shapes).map(|(id, shape)| queue(id, *shape, now)).collect();
            let free: Vec<_> = free.into_iter().map(|ms| now + ms * MS).collect();
            let newcomer = Newcomer { queue: 0, count, deadline: now + Duration::from_secs(3600) };
            let placed = forecast(&queues, &free, Some(newcomer), now).newcomer.unwrap();
            prop_assert!(earliest_end(&queues[0], &free, count, now) <= ends_at(&queues[0], placed, now));
        }

        /// What a scrape is told without a forecast is what a forecast tells, but for how batches fall on devices. It is
        /// more where a job joins those that go before another queue's.
        #[test]
        fn the_wait_that_is_told_is_the_forecast_s_within_a_batch(
            shapes in queues(),
            free in prop::collection::vec(0..20u32, 1..4),
        ) {
            let now = Instant::now();
            let queues: Vec<_> = (0..).zip(&shapes).map(|(id, shape)| queue(id, *shape, now)).collect();
            let free: Vec<_> = free.into_iter().map(|ms| now + ms * MS).collect();
            let patient = Newcomer { queue: 0, count: 1, deadline: now + Duration::from_secs(100_000) };
            let placed = forecast(&queues, &free, Some(patient), now).newcomer.unwrap();
            let (told, foreseen) = (predicted_wait(&queues, &free, 0, now), placed.finished - now);
            let largest = queues.iter().map(|queue| queue.cost.time(queue.cost.knee())).max().unwrap();
            let apart = 2 * largest + 20 * MS;
            prop_assert!(foreseen <= told + apart, "{told:?} and {foreseen:?}");
            prop_assert!(queues.len() > 1 || told <= foreseen + apart, "{told:?} and {foreseen:?}");
        }
    }
}
