//! What runs next, and who may join. No clock, no thread, no state: callers pass in what they know.
//!
//! The wait of a newcomer is not estimated by a formula. [`forecast`] runs [`decide`] forward in imagined time,
//! so that what is promised at admission is what the same policy will do.

use std::time::{Duration, Instant};

use crate::line::Line;

/// What a free device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing waits.
    Idle,
    /// Take the first `span` jobs of line `line`. `size` of them run as one batch; the others, which can no longer
    /// be in time even alone, are answered so. `size` is 0 when that is all of them.
    Bind {
        /// Index of the line.
        line: usize,
        /// Jobs to take from its front.
        span: usize,
        /// Jobs of those that run.
        size: usize,
        /// Whether nobody who comes could still join them.
        full: bool,
    },
}

/// Jobs that ask to join a line together.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    /// Index of the line.
    pub line: usize,
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
pub struct Ahead {
    /// Index of the line.
    pub line: usize,
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

/// Chooses the next batch for a device that is free at `now`: from the line whose next batch has the earliest
/// deadline (on equal ones, the longest wait), first come first served within the line, up to the knee of its cost
/// model, and no more than lets every member be in time.
pub fn decide<K, T>(lines: &[Line<K, T>], now: Instant) -> Decision {
    decide_from(lines, &vec![0; lines.len()], None, now)
}

/// The batch that [`decide`] is going to choose for `device`, which is busy until `free[device]`: the one after those of
/// devices that are free before it. None while somebody could still join it: to bind it would only make it smaller.
pub fn ahead<K, T>(lines: &[Line<K, T>], free: &[Instant], device: usize) -> Option<Ahead> {
    let mut free = free.to_vec();
    let mut taken = vec![0; lines.len()];
    loop {
        let next = (0..free.len()).min_by_key(|&device| free[device])?;
        let Decision::Bind { line, span, size, full } = decide_from(lines, &taken, None, free[next]) else {
            return None;
        };
        if next == device {
            return (full && size == span).then(|| Ahead { line, from: taken[line], size });
        }
        taken[line] += span;
        if size > 0 {
            free[next] += lines[line].cost.time(size);
        }
    }
}

/// Runs [`decide`] forward from `now` until nothing waits. `free[i]` is when device `i` becomes free.
pub fn forecast<K, T>(
    lines: &[Line<K, T>],
    free: &[Instant],
    newcomer: Option<Newcomer>,
    now: Instant,
) -> Forecast {
    let mut free: Vec<Instant> = free.iter().map(|&at| at.max(now)).collect();
    let mut taken = vec![0; lines.len()];
    let mut forecast =
        Forecast { missed: 0, drained: free.iter().copied().max().unwrap_or(now), newcomer: None };
    while let Some(device) = (0..free.len()).min_by_key(|&device| free[device]) {
        let bound = free[device];
        let Decision::Bind { line, span, size, .. } = decide_from(lines, &taken, newcomer, bound) else {
            break;
        };
        taken[line] += span;
        forecast.missed += span - size;
        if size == 0 {
            continue;
        }
        let finished = bound + lines[line].cost.time(size);
        free[device] = finished;
        forecast.drained = forecast.drained.max(finished);
        let last_of =
            |new: &Newcomer| new.line == line && taken[line] == lines[line].waiting.len() + new.count;
        if newcomer.as_ref().is_some_and(last_of) {
            forecast.newcomer = Some(Placed { bound, size, finished });
        }
    }
    forecast
}

/// Admits the newcomer when its answer is in time with `margin` (a share of its wait) to spare, and when it makes
/// nobody late who would be in time without it. Answers its predicted wait until its answer, codec included.
///
/// Its batch is taken to be as full as the arrivals until it is bound will make it, not as full as it is now:
/// otherwise every batch's first job is admitted with nothing to spare, and under overload the batches stay small.
pub fn admit<K, T>(
    lines: &[Line<K, T>],
    free: &[Instant],
    newcomer: Newcomer,
    margin: f64,
    now: Instant,
) -> Result<Duration, Late> {
    let with = forecast(lines, free, Some(newcomer), now);
    let wait = with.newcomer.map(|placed| answered(&lines[newcomer.line], placed, now) - now);
    let in_time = wait.filter(|wait| now + wait.mul_f64(1.0 + margin) <= newcomer.deadline);
    if let Some(wait) = in_time
        && with.missed == 0
    {
        return Ok(wait);
    }
    let without = forecast(lines, free, None, now);
    in_time.filter(|_| with.missed <= without.missed).ok_or(Late { drain: without.drained - now })
}

/// The wait of one more job without a deadline in line `line`, until its answer.
pub fn predicted_wait<K, T>(lines: &[Line<K, T>], free: &[Instant], line: usize, now: Instant) -> Duration {
    let patient = Newcomer { line, count: 1, deadline: now + Duration::from_secs(365 * 86_400) };
    let placed = forecast(lines, free, Some(patient), now).newcomer;
    placed.map_or(Duration::ZERO, |placed| answered(&lines[line], placed, now) - now)
}

/// When a placed job's answer is complete, its batch as full as it will be by then.
fn answered<K, T>(line: &Line<K, T>, placed: Placed, now: Instant) -> Instant {
    let joining = line.arrivals.expected(placed.bound - now, now) as usize;
    let size = placed.size.saturating_add(joining).min(line.cost.knee()).max(placed.size);
    placed.bound + line.cost.time(size) + line.codec
}

/// [`decide`], after the first `taken[i]` jobs of each line have gone and the newcomer has joined.
fn decide_from<K, T>(
    lines: &[Line<K, T>],
    taken: &[usize],
    newcomer: Option<Newcomer>,
    now: Instant,
) -> Decision {
    let next = lines.iter().zip(taken).enumerate().filter_map(|(i, (line, &taken))| {
        let from = taken.min(line.waiting.len());
        let joined = newcomer.filter(|new| new.line == i).into_iter();
        let joined = joined.flat_map(|new| std::iter::repeat_n(new.deadline, new.count)).skip(taken - from);
        let next = next_batch(line, line.deadlines(from).chain(joined), now)?;
        let oldest = line.waiting.get(from).map_or(u64::MAX, |waiting| waiting.id);
        Some((i, next, oldest))
    });
    match next.min_by_key(|(_, next, oldest)| (next.earliest, *oldest)) {
        Some((line, NextBatch { span, size, full, .. }, _)) => Decision::Bind { line, span, size, full },
        None => Decision::Idle,
    }
}

struct NextBatch {
    span: usize,
    size: usize,
    earliest: Instant,
    full: bool,
}

/// The batch that a device free at `now` would take from a line with these `deadlines`.
fn next_batch<K, T>(
    line: &Line<K, T>,
    deadlines: impl Iterator<Item = Instant>,
    now: Instant,
) -> Option<NextBatch> {
    let alone = line.answered(1, now);
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
        if before == line.cost.knee() || line.answered(before + 1, now) > earliest {
            // First come, first served: who comes later does not join before this one.
            return next.map(|next| NextBatch { full: true, ..next });
        }
        let full = before + 1 == line.cost.knee();
        next = Some(NextBatch { span: place + 1, size: before + 1, earliest, full });
    }
    next
}
