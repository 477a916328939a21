//! `T(b)`: how long a batch of `b` takes. Measured at warm-up, kept current by what runs.

use std::time::{Duration, Instant};

use crate::estimate::{self, Freshness, NEWEST};

/// A batch is large enough when its throughput is within this share of the best.
const USEFUL_GAIN: f64 = 0.05;
/// So many jobs are taken together even where that gains nothing, as long as it costs little: fewer hand-overs between
/// threads, and pictures of one mask share their tables. More would only make the first of them wait.
const A_FEW: usize = 4;
/// The share of the best throughput that it may cost.
const FEW_LOSS: f64 = 0.1;
/// Where a deadline is at stake, so many times the mean of what batches took too long is allowed for. For times that vary at
/// random that is two mean deviations: one batch in twenty takes longer.
const ALLOWED: f64 = 4.0;
/// The least credit that estimates have, so that no time is none.
const LEAST_CREDIT: f64 = 1.0 / 1_048_576.0;
/// One batch counts as at most this share too long: one stall should not close the queue.
const MOST_EXCESS: f64 = 0.25;

/// The time of a batch by its size: never falling with the size, linear between the measured sizes.
#[derive(Clone, Debug)]
pub struct CostModel {
    /// Seconds of a batch of `index + 1`.
    seconds: Vec<f64>,
    /// The fastest each size was ever estimated at.
    fastest: Vec<f64>,
    /// Mean of what batches took longer than expected, as a share of the expected time.
    excess: f64,
    freshness: Freshness,
    /// What is left of the estimates' credit, 1 at most: see [`doubt`](Self::doubt).
    credit: f64,
    /// Since when nothing but refusals have followed from them.
    doubted: Option<Instant>,
    limit: usize,
    knee: usize,
}

/// Why measurements do not make a cost model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// There is no measurement at all.
    #[error("no batch size was measured")]
    Empty,
    /// A measurement is of no jobs, or took no time.
    #[error("the measurement of a batch of {size} in {time:?} is not possible")]
    Impossible {
        /// Jobs in the batch.
        size: usize,
        /// What was measured.
        time: Duration,
    },
}

impl CostModel {
    /// A model through measured `(batch size, time)` points, in any order. The largest size is the largest batch
    /// that will ever be bound; a size measured twice counts with its shorter time.
    pub fn measured(points: &[(usize, Duration)]) -> Result<Self, CostError> {
        if let Some(&(size, time)) = points.iter().find(|(size, time)| *size == 0 || time.is_zero()) {
            return Err(CostError::Impossible { size, time });
        }
        let mut points: Vec<(usize, f64)> = points.iter().map(|&(b, time)| (b, time.as_secs_f64())).collect();
        points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points.dedup_by_key(|point| point.0);
        let largest = points.last().ok_or(CostError::Empty)?.0;

        let mut seconds: Vec<f64> = (1..=largest).map(|size| interpolate(&points, size)).collect();
        for i in 1..largest {
            seconds[i] = seconds[i].max(seconds[i - 1]);
        }
        let mut model = Self {
            fastest: seconds.clone(),
            seconds,
            excess: 0.0,
            freshness: Freshness::default(),
            credit: 1.0,
            doubted: None,
            limit: largest,
            knee: largest,
        };
        model.find_knee();
        Ok(model)
    }

    /// Measures batches of 1, 2, 4, ... up to `largest` with `time`, and stops when doubling no longer pays, so
    /// that the warm-up of a slow device stays short. `time` runs a batch once unmeasured if its first run is slower, and
    /// answers none for a batch that the device has no memory for: nothing as large will be bound.
    ///
    /// # Panics
    /// When `largest` is 0.
    pub fn warm_up<E: From<CostError>>(
        largest: usize,
        mut time: impl FnMut(usize) -> Result<Option<Duration>, E>,
    ) -> Result<Self, E> {
        assert!(largest > 0, "a batch has at least one job");
        let mut points = Vec::new();
        let mut best = 0.0;
        let mut size = 1;
        loop {
            let Some(took) = time(size)? else { return Ok(Self::measured(&points)?) };
            points.push((size, took));
            let rate = size as f64 / took.as_secs_f64();
            if size == largest || (size >= A_FEW && rate < best * (1.0 + USEFUL_GAIN)) {
                return Ok(Self::measured(&points)?);
            }
            best = f64::max(best, rate);
            size = (2 * size).min(largest);
        }
    }

    /// The expected time of a batch of `size`. Beyond the largest measured size it grows in proportion.
    pub fn time(&self, size: usize) -> Duration {
        let within = size.clamp(1, self.seconds.len());
        let seconds = self.seconds[within - 1] * (size.max(1) as f64 / within as f64);
        Duration::from_secs_f64(seconds * self.credit)
    }

    /// The time that a batch of `size` will hardly exceed: the expected one and what batches lately took longer. Who has
    /// to be answered by a deadline counts with this one; on the expected one alone, about half of those that just fit would be late.
    pub fn latest(&self, size: usize) -> Duration {
        self.time(size).mul_f64(1.0 + ALLOWED * self.excess)
    }

    /// The largest useful batch: the smallest size whose throughput is within 5% of the best; a larger one would make
    /// its jobs wait longer and finish hardly more of them. Up to four are taken together even where it gains
    /// nothing, if it costs at most 10%.
    pub fn knee(&self) -> usize {
        self.knee
    }

    /// The largest batch that may be bound, in jobs.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes in that a batch of `size` ran for `ran` and ended at `now`. Sizes near `size` move with it, since what
    /// slows one slows the others: half as much per doubling between them.
    pub fn observe(&mut self, size: usize, ran: Duration, now: Instant) {
        if size == 0 || size > self.seconds.len() {
            return;
        }
        self.refresh(now);
        self.freshness.measured(now);
        let at = size - 1;
        let measured = ran.as_secs_f64();
        self.doubted = None;
        if std::mem::replace(&mut self.credit, 1.0) < 1.0 && measured > 0.0 && measured < self.seconds[at] {
            // The doubt was right: this is what a batch takes, whatever was measured before.
            let faster = measured / self.seconds[at];
            self.seconds.iter_mut().chain(&mut self.fastest).for_each(|seconds| *seconds *= faster);
        }
        let ratio = estimate::ratio(measured, self.seconds[at]);
        self.excess += NEWEST * ((ratio - 1.0).clamp(0.0, MOST_EXCESS) - self.excess);
        for (i, (seconds, fastest)) in self.seconds.iter_mut().zip(&self.fastest).enumerate() {
            let octaves = ((i + 1) as f64 / size as f64).log2().abs();
            *seconds *= 1.0 + NEWEST * 0.5_f64.powf(octaves) * (ratio - 1.0);
            *seconds = estimate::capped(*seconds, *fastest);
        }
        self.keep_monotone_around(at);
        for (fastest, seconds) in self.fastest.iter_mut().zip(&self.seconds) {
            *fastest = fastest.min(*seconds);
        }
        self.find_knee();
    }

    /// Returns an estimate that has not been refreshed for ten seconds to the fastest ever seen. Without it a slow
    /// spell could push `T(1)` past every deadline: all is refused, nothing runs, and nothing corrects it.
    /// Tells whether it did.
    pub fn refresh(&mut self, now: Instant) -> bool {
        let stale = self.freshness.take_stale(now);
        if stale {
            self.seconds.clone_from(&self.fastest);
            self.excess = 0.0;
            self.find_knee();
        }
        stale
    }

    /// The least time that `count` jobs have ever taken on one idle device, in batches of the useful size.
    pub fn fastest(&self, count: usize) -> Duration {
        let batch = self.knee.min(self.fastest.len()).max(1);
        let (full, rest) = (count / batch, count % batch);
        let rest = if rest == 0 { 0.0 } else { self.fastest[rest - 1] };
        Duration::from_secs_f64((full as f64 * self.fastest[batch - 1] + rest) * self.credit)
    }

    /// An idle queue refuses because of these estimates. They may be wrong from the first measurement on, made on a machine
    /// that was busy with something else, and nothing would ever correct them: so every ten seconds of refusals they lose half of
    /// their credit, until a batch runs and they have it back, corrected.
    pub fn doubt(&mut self, now: Instant) {
        let since = *self.doubted.get_or_insert(now);
        if now.saturating_duration_since(since) >= estimate::FRESH {
            self.credit = (self.credit / 2.0).max(LEAST_CREDIT);
            self.doubted = Some(now);
        }
    }

    /// Batches of `size` do not fit the device's memory: none larger than half of it is bound from now on.
    /// It stays lowered, since what filled the memory once will do so again.
    pub fn lower_limit(&mut self, size: usize) {
        self.limit = self.limit.min(size.div_ceil(2)).max(1);
        self.find_knee();
    }

    fn keep_monotone_around(&mut self, at: usize) {
        for i in at + 1..self.seconds.len() {
            self.seconds[i] = self.seconds[i].max(self.seconds[i - 1]);
        }
        for i in (0..at).rev() {
            self.seconds[i] = self.seconds[i].min(self.seconds[i + 1]);
        }
    }

    fn find_knee(&mut self) {
        let rate = |size: usize| size as f64 / self.seconds[size - 1];
        let best = (1..=self.limit).map(rate).fold(0.0, f64::max);
        let enough = (1..=self.limit).find(|&size| rate(size) >= best * (1.0 - USEFUL_GAIN));
        let few = (1..=self.limit.min(A_FEW)).rev().find(|&size| rate(size) >= best * (1.0 - FEW_LOSS));
        self.knee = enough.unwrap_or(self.limit).max(few.unwrap_or(1));
    }
}

/// Linear between the points; before the first the time of the first.
fn interpolate(points: &[(usize, f64)], size: usize) -> f64 {
    let after = points.partition_point(|point| point.0 < size);
    let (b1, t1) = points[after];
    if after == 0 {
        return t1;
    }
    let (b0, t0) = points[after - 1];
    t0 + (t1 - t0) * (size - b0) as f64 / (b1 - b0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn model(points: &[(usize, u32)]) -> CostModel {
        let points: Vec<_> = points.iter().map(|&(size, ms)| (size, ms * MS)).collect();
        CostModel::measured(&points).unwrap()
    }

    fn ms(time: Duration) -> f64 {
        time.as_secs_f64() * 1e3
    }

    #[test]
    fn between_two_measurements_time_is_linear() {
        let cost = model(&[(8, 90), (1, 20), (4, 50)]);
        assert!((ms(cost.time(2)) - 30.0).abs() < 1e-6);
        assert!((ms(cost.time(6)) - 70.0).abs() < 1e-6);
        assert!((ms(cost.time(8)) - 90.0).abs() < 1e-6);
    }

    #[test]
    fn a_larger_batch_never_costs_less() {
        let cost = model(&[(1, 20), (2, 15), (4, 50)]);
        assert!(cost.time(1) <= cost.time(2));
    }

    #[test]
    fn where_batching_gains_nothing_a_few_are_taken_together() {
        assert_eq!(model(&[(1, 10), (8, 80)]).knee(), 4);
    }

    #[test]
    fn where_batching_costs_the_knee_is_one() {
        assert_eq!(model(&[(1, 10), (8, 120)]).knee(), 1);
    }

    #[test]
    fn where_batching_is_free_the_knee_is_the_largest_batch() {
        assert_eq!(model(&[(1, 10), (16, 10)]).knee(), 16);
    }

    #[test]
    fn the_knee_stops_where_throughput_flattens() {
        let cost = model(&[(1, 10), (4, 16), (8, 32), (16, 64)]);
        assert_eq!(cost.knee(), 4);
    }

    #[test]
    fn impossible_measurements_are_errors() {
        assert_eq!(CostModel::measured(&[]).unwrap_err(), CostError::Empty);
        assert!(CostModel::measured(&[(0, MS)]).is_err());
        assert!(CostModel::measured(&[(1, Duration::ZERO)]).is_err());
    }

    #[test]
    fn a_lasting_change_is_followed() {
        let start = Instant::now();
        let mut cost = model(&[(1, 20), (8, 90)]);
        (0..40).for_each(|i| cost.observe(4, 200 * MS, start + i * MS));
        assert!((ms(cost.time(4)) - 200.0).abs() < 1.0);
        assert!(ms(cost.time(8)) > 150.0, "its neighbours follow");
    }

    #[test]
    fn a_single_stall_hardly_counts() {
        let mut cost = model(&[(1, 20), (8, 90)]);
        cost.observe(1, 5000 * MS, Instant::now());
        assert!(ms(cost.time(1)) <= 25.0 + 1e-6);
        assert!(ms(cost.latest(1)) <= 1.25 * 25.0 + 1e-6);
    }

    #[test]
    fn an_estimate_nobody_refreshes_returns_to_the_fastest_seen() {
        let start = Instant::now();
        let mut cost = model(&[(1, 20), (8, 90)]);
        (0..40).for_each(|i| cost.observe(1, 2000 * MS, start + i * MS));
        cost.refresh(start + Duration::from_secs(5));
        assert!(ms(cost.time(1)) > 500.0, "followed, as far as the cap");
        cost.refresh(start + Duration::from_secs(11));
        assert!((ms(cost.time(1)) - 20.0).abs() < 1e-6);
        assert_eq!(cost.latest(1), cost.time(1));
    }

    #[test]
    fn an_estimate_that_only_refuses_loses_its_credit_until_a_batch_corrects_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut cost = model(&[(1, 4400), (2, 8800)]); // measured on a busy machine
        (0..8).for_each(|second| cost.doubt(at(second)));
        assert_eq!(cost.time(1), 4400 * MS, "ten seconds are waited for");
        cost.doubt(at(10));
        assert_eq!((cost.time(1), cost.fastest(1)), (2200 * MS, 2200 * MS));
        cost.observe(1, 200 * MS, at(11));
        assert!((ms(cost.time(1)) - 200.0).abs() < 1.0, "what it took counts in full");
        assert!((ms(cost.fastest(2)) - 400.0).abs() < 2.0);

        let mut cost = model(&[(1, 4400)]);
        (0..40).for_each(|second| cost.doubt(at(second)));
        assert!(cost.time(1) < 600 * MS);
        cost.observe(1, 4400 * MS, at(40));
        assert_eq!(cost.time(1), 4400 * MS, "it was right, and has its credit back");
    }

    #[test]
    fn what_is_allowed_for_is_what_batches_lately_took_too_long() {
        let start = Instant::now();
        let mut cost = model(&[(1, 100), (2, 200)]);
        assert_eq!(cost.latest(2), cost.time(2));
        (0..40).for_each(|i| cost.observe(2, (180 + i % 2 * 40) * MS, start + i * MS));
        assert!((1.15..1.4).contains(&(ms(cost.latest(2)) / ms(cost.time(2)))), "{:?}", cost.latest(2));
        (0..40).for_each(|i| cost.observe(2, 200 * MS, start + (40 + i) * MS));
        assert!(ms(cost.latest(2)) < 1.01 * ms(cost.time(2)));
    }

    #[test]
    fn a_size_that_does_not_fit_is_not_bound_again() {
        let mut cost = model(&[(1, 10), (16, 10)]);
        cost.lower_limit(16);
        assert_eq!((cost.limit(), cost.knee()), (8, 8));
        cost.lower_limit(1);
        assert_eq!((cost.limit(), cost.knee()), (1, 1));
    }

    #[test]
    fn warm_up_stops_when_doubling_no_longer_pays() {
        let mut sizes = Vec::new();
        let cost = CostModel::warm_up::<CostError>(32, |size| {
            sizes.push(size);
            Ok(Some(size.max(4) as u32 * MS))
        });
        assert_eq!(sizes, [1, 2, 4, 8]);
        assert_eq!(cost.unwrap().knee(), 4);
    }

    #[test]
    fn warm_up_stops_where_memory_does() {
        let fits = |largest| move |size| Ok((size <= largest).then_some(10 * MS));
        let cost = CostModel::warm_up::<CostError>(32, fits(10)).unwrap();
        assert_eq!((cost.limit(), cost.knee()), (8, 8));
        assert_eq!(CostModel::warm_up(32, fits(0)).unwrap_err(), CostError::Empty);
    }

    proptest! {
        #[test]
        fn it_stays_monotone_whatever_is_observed(
            points in prop::collection::vec((1usize..32, 1u32..1000), 1..6),
            observed in prop::collection::vec((1usize..40, 0u32..5000), 0..40),
        ) {
            let start = Instant::now();
            let mut cost = model(&points);
            for (i, (size, time)) in observed.into_iter().enumerate() {
                cost.observe(size, time * MS, start + i as u32 * MS);
            }
            for size in 1..32 {
                prop_assert!(cost.time(size) <= cost.time(size + 1));
                prop_assert!(cost.time(size) > Duration::ZERO);
            }
            prop_assert!((1..=cost.limit()).contains(&cost.knee()));
        }
    }
}
