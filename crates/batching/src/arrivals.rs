//! How often jobs arrive, to foresee how full a batch will be when it is bound.

use std::time::{Duration, Instant};

/// Weight of the newest gap in the running mean: about the last eight gaps count.
const NEWEST: f64 = 1.0 / 8.0;

/// A running mean of the gap between arrivals.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    last: Option<Instant>,
    gap: Option<f64>,
}

impl Arrivals {
    /// Records `count` jobs that arrived together at `now`.
    pub fn observe(&mut self, count: usize, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let gap = now.saturating_duration_since(last).as_secs_f64() / count.max(1) as f64;
        self.gap = Some(self.gap.map_or(gap, |mean| mean + (gap - mean) * NEWEST));
    }

    /// Jobs expected to arrive in the `span` after `now`. A silence longer than the usual gap lowers it.
    pub fn expected(&self, span: Duration, now: Instant) -> f64 {
        let (Some(last), Some(gap)) = (self.last, self.gap) else { return 0.0 };
        let silence = now.saturating_duration_since(last).as_secs_f64();
        span.as_secs_f64() / gap.max(silence).max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_stream_is_foreseen() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        (0..20).for_each(|i| arrivals.observe(1, start + 10 * i * MS));
        let expected = arrivals.expected(100 * MS, start + 190 * MS);
        assert!((9.5..10.5).contains(&expected), "{expected}");
    }

    #[test]
    fn a_group_counts_as_many() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        (0..20).for_each(|i| arrivals.observe(4, start + 40 * i * MS));
        let expected = arrivals.expected(100 * MS, start + 760 * MS);
        assert!((9.5..10.5).contains(&expected), "{expected}");
    }

    #[test]
    fn after_a_silence_nobody_is_expected() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        (0..20).for_each(|i| arrivals.observe(1, start + i * MS));
        assert!(arrivals.expected(10 * MS, start + 1000 * MS) < 0.02);
    }

    #[test]
    fn one_arrival_foretells_nothing() {
        let mut arrivals = Arrivals::default();
        arrivals.observe(1, Instant::now());
        assert_eq!(arrivals.expected(Duration::from_secs(9), Instant::now()), 0.0);
    }
}
