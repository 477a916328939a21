//! The one rule by which times are estimated from what is measured: they follow, they are capped, they age.
//!
//! A measurement is of work alone, never of waiting for it to begin. One of them moves an estimate as if it were at most
//! twice as slow or fast as expected, so that a pause of the process hardly counts. An estimate never exceeds a multiple of the
//! fastest time seen, and returns to that when nothing has been measured for seconds: what was refused because of it is
//! then tried again, and measured.

use std::time::{Duration, Instant};

/// Weight of the newest measurement.
pub(crate) const NEWEST: f64 = 0.25;
/// One measurement changes an estimate as if it were at most this many times slower or faster, so that a single stall does
/// not close the queue and a lasting change is followed within a few measurements.
const OUTLIER: f64 = 2.0;
/// The most that an estimate may be, as a multiple of the fastest time seen.
const CAP: f64 = 32.0;
/// An estimate that nothing has refreshed for this long returns to the fastest ever seen.
pub(crate) const FRESH: Duration = Duration::from_secs(10);

/// How many times slower than expected a measurement was, as far as it counts.
pub(crate) fn ratio(measured: f64, expected: f64) -> f64 {
    if expected > 0.0 { (measured / expected).clamp(1.0 / OUTLIER, OUTLIER) } else { 1.0 }
}

/// `estimate`, or the most that it may be.
pub(crate) fn capped(estimate: f64, fastest: f64) -> f64 {
    estimate.min(fastest * CAP)
}

/// When an estimate was last refreshed by a measurement; never, for one that is as it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Freshness(Option<Instant>);

impl Freshness {
    pub(crate) fn measured(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// Whether the estimate is to return to the fastest. Told once.
    pub(crate) fn take_stale(&mut self, now: Instant) -> bool {
        let stale = self.is_stale(now);
        if stale {
            self.0 = None;
        }
        stale
    }

    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.0.is_some_and(|at| now.saturating_duration_since(at) > FRESH)
    }
}

/// The time that one unit of some work takes, in seconds: an image's pixel, say.
#[derive(Clone, Debug)]
pub struct Estimate {
    fastest: f64,
    seconds: f64,
    freshness: Freshness,
}

impl Estimate {
    /// An estimate that begins at `seconds` a unit.
    pub fn new(seconds: f64) -> Self {
        Self { fastest: seconds, seconds, freshness: Freshness::default() }
    }

    /// The expected time of `units`.
    pub fn time(&self, units: f64, now: Instant) -> Duration {
        let seconds = if self.freshness.is_stale(now) { self.fastest } else { self.seconds };
        duration(seconds * units)
    }

    /// The time of `units` at the fastest ever seen: less than that, the work has never taken.
    pub fn fastest(&self, units: f64) -> Duration {
        duration(self.fastest * units)
    }

    /// Takes in that `units` were worked on for `took`, without what they waited.
    pub fn observe(&mut self, units: f64, took: Duration, now: Instant) {
        if units <= 0.0 {
            return;
        }
        if self.freshness.take_stale(now) {
            self.seconds = self.fastest;
        }
        let ratio = ratio(took.as_secs_f64() / units, self.seconds);
        self.seconds = capped(self.seconds * (1.0 + NEWEST * (ratio - 1.0)), self.fastest);
        self.fastest = self.fastest.min(self.seconds);
        self.freshness.measured(now);
    }
}

/// A time that no estimate exceeds, so that it can be added to any other.
const LONGEST: f64 = 86_400.0 * 365.0;

fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lasting_change_is_followed_and_scales_with_the_work() {
        let start = Instant::now();
        let mut estimate = Estimate::new(0.01);
        (0..40).for_each(|i| estimate.observe(10.0, 500 * MS, start + i * MS));
        assert!((estimate.time(1.0, start + 40 * MS).as_secs_f64() - 0.05).abs() < 1e-3);
        assert!((estimate.time(4.0, start + 40 * MS).as_secs_f64() - 0.2).abs() < 4e-3);
    }

    #[test]
    fn a_pause_of_the_process_counts_as_twice_the_time() {
        let start = Instant::now();
        let mut estimate = Estimate::new(0.01);
        estimate.observe(1.0, 3_600_000 * MS, start);
        assert!(estimate.time(1.0, start) <= 13 * MS);
    }

    proptest! {
        #[test]
        fn whatever_is_measured_it_is_capped_and_soon_forgotten(
            measured in prop::collection::vec((0.0..100.0f64, 0u64..100_000_000, 0u32..3000), 0..200),
        ) {
            let mut now = Instant::now();
            let mut estimate = Estimate::new(0.01);
            for (units, ms, pause) in measured {
                now += pause * MS;
                estimate.observe(units, Duration::from_millis(ms), now);
                prop_assert!(estimate.time(1.0, now) <= estimate.fastest(1.0).mul_f64(CAP * 1.001));
                prop_assert!(estimate.fastest(1.0) <= estimate.time(1.0, now) + Duration::from_nanos(2));
            }
            prop_assert_eq!(estimate.time(1.0, now + FRESH + MS), estimate.fastest(1.0));
        }
    }
}
