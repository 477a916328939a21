//! Fleets in simulated time: what the scheduler promises holds over minutes of traffic and many instances.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

#[path = "../examples/capacity/fleet.rs"]
mod fleet;

use std::time::Duration;

use fleet::{Balancer, Outcome, Plan, capacity, simulate};
use spadework_batching::CostModel;

const MS: Duration = Duration::from_millis(1);

/// Ten instances at a load, on which batching gains a third or nothing.
fn outcome(load: f64, balancer: Balancer, batching_gains: bool) -> (Outcome, f64) {
    let points: &[_] = if batching_gains {
        &[(1, 30 * MS), (2, 48 * MS), (4, 84 * MS), (8, 164 * MS)]
    } else {
        &[(1, 30 * MS), (4, 120 * MS)]
    };
    let cost = CostModel::measured(points).unwrap();
    let most = 10.0 * capacity(&cost);
    let plan = Plan {
        instances: 10,
        balancer,
        rate: load * most,
        deadline: 2000 * MS,
        span: Duration::from_secs(60),
        cost,
        codec: 5 * MS,
        jitter: 0.1,
    };
    (simulate(&plan), most)
}

#[test]
fn at_seven_tenths_of_the_capacity_nothing_is_refused_or_late() {
    for batching_gains in [false, true] {
        let (outcome, _) = outcome(0.7, Balancer::LeastOfTwo, batching_gains);
        assert!(outcome.requests > 10_000, "{}", outcome.requests);
        assert_eq!((outcome.refused, outcome.late), (0, 0));
        assert!(outcome.percentile(0.99) < 500 * MS, "{:?}", outcome.percentile(0.99));
    }
}

#[test]
fn at_twice_the_capacity_the_work_that_is_done_is_useful() {
    for balancer in [Balancer::Random, Balancer::LeastOfTwo] {
        for batching_gains in [false, true] {
            let (outcome, most) = outcome(2.0, balancer, batching_gains);
            let share = outcome.useful_per_second() / most;
            assert!(share > 0.95, "{share} of the capacity with {balancer:?}");
            let admitted = outcome.requests - outcome.refused;
            assert!(outcome.late * 100 < admitted, "{} of {admitted} were late", outcome.late);
            assert!(outcome.percentile(1.0) <= 2000 * MS);
        }
    }
}

#[test]
fn every_request_is_answered_refused_or_late() {
    let (outcome, _) = outcome(1.2, Balancer::Random, true);
    assert_eq!(outcome.requests, outcome.waits.len() + outcome.refused + outcome.late);
}
