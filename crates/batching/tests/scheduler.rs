//! Who waits, who runs and who is refused, with time as a value.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::time::{Duration, Instant};

use spadework_batching::scheduler::{Bound, Limits, Pull, Scheduler};
use spadework_batching::{CostModel, QueueId, Refused};

const MS: Duration = Duration::from_millis(1);

/// Every batch size up to `largest` takes `ms`: batching is free, the knee is `largest`.
fn flat(ms: u32, largest: usize) -> CostModel {
    CostModel::measured(&[(1, ms * MS), (largest, ms * MS)]).unwrap()
}

/// One device, no margin, and queues that are named by a letter; jobs are their names.
struct Bench {
    scheduler: Scheduler<char, &'static str>,
    start: Instant,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { scheduler: Scheduler::new(1, limits, 0.0), start: Instant::now() }
    }

    fn at(&self, ms: u32) -> Instant {
        self.start + ms * MS
    }

    /// Submits one job of one byte, due at `due` ms.
    fn submit(&mut self, queue: QueueId, job: &'static str, due: u32, now: u32) -> Result<u64, Refused> {
        let (deadline, now) = (self.at(due), self.at(now));
        self.scheduler.submit(queue, vec![(job, 1)], deadline, now).map(|ids| ids[0])
    }

    fn pull(&mut self, now: u32) -> Pull<char, &'static str> {
        let now = self.at(now);
        self.scheduler.pull(0, now)
    }

    /// What the device runs when it is free at `now` ms.
    fn bound(&mut self, now: u32) -> Vec<&'static str> {
        self.scheduler.finished(0, self.at(now));
        jobs(self.pull(now).bound)
    }

    /// What the device is given at `now` ms while it runs a batch.
    fn ahead(&mut self, now: u32) -> Vec<&'static str> {
        let now = self.at(now);
        jobs(self.scheduler.prefetch(0, now))
    }
}

fn jobs(bound: Option<Bound<char, &'static str>>) -> Vec<&'static str> {
    bound.map_or_else(Vec::new, |bound| bound.jobs.into_iter().map(|job| job.payload).collect())
}

fn bench() -> Bench {
    Bench::new(Limits::default())
}

#[test]
fn a_job_that_arrives_while_the_device_is_busy_joins_the_next_batch() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 4));
    bench.submit(queue, "first", 1000, 0).unwrap();
    assert_eq!(bench.bound(0), ["first"], "nothing is waited for");
    bench.submit(queue, "second", 1000, 1).unwrap();
    bench.submit(queue, "third", 1000, 9).unwrap();
    assert_eq!(bench.bound(10), ["second", "third"]);
    assert!(bench.bound(20).is_empty());
}

#[test]
fn a_batch_is_not_larger_than_the_knee() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 2));
    for job in ["1", "2", "3"] {
        bench.submit(queue, job, 1000, 0).unwrap();
    }
    assert_eq!(bench.bound(0), ["1", "2"]);
    assert_eq!(bench.bound(10), ["3"]);
}

#[test]
fn a_batch_grows_no_further_than_its_tightest_deadline_allows() {
    let mut bench = bench();
    let cost = CostModel::measured(&[(1, 10 * MS), (4, 22 * MS)]).unwrap(); // 10, 14, 18, 22 ms
    let queue = bench.scheduler.open('a', cost);
    for (job, due) in [("patient", 1000), ("hurried", 15), ("next", 1000)] {
        bench.submit(queue, job, due, 0).unwrap();
    }
    assert_eq!(bench.bound(0), ["patient", "hurried"], "a third would end the batch at 18 ms");
}

#[test]
fn between_queues_the_earliest_deadline_goes_first() {
    let mut bench = bench();
    let a = bench.scheduler.open('a', flat(10, 4));
    let b = bench.scheduler.open('b', flat(10, 4));
    bench.submit(a, "patient", 900, 0).unwrap();
    bench.submit(b, "hurried", 100, 1).unwrap();
    assert_eq!(bench.bound(1), ["hurried"], "and jobs of two queues share no batch");
    assert_eq!(bench.bound(11), ["patient"]);
}

#[test]
fn on_equal_deadlines_the_longest_wait_goes_first() {
    let mut bench = bench();
    let a = bench.scheduler.open('a', flat(10, 4));
    let b = bench.scheduler.open('b', flat(10, 4));
    bench.submit(b, "older", 500, 0).unwrap();
    bench.submit(a, "younger", 500, 0).unwrap();
    assert_eq!(bench.bound(0), ["older"]);
}

#[test]
fn a_caller_that_left_frees_its_place_before_the_next_batch() {
    let mut bench = Bench::new(Limits { jobs: 2, bytes: 100 });
    let queue = bench.scheduler.open('a', flat(10, 2));
    bench.submit(queue, "stays", 1000, 0).unwrap();
    let gone = bench.submit(queue, "leaves", 1000, 0).unwrap();
    assert!(matches!(bench.submit(queue, "late", 1000, 0), Err(Refused::Full { .. })));
    assert_eq!(bench.scheduler.cancel(queue, gone).unwrap().1.payload, "leaves");
    assert!(bench.scheduler.cancel(queue, gone).is_none(), "it leaves once");
    bench.submit(queue, "late", 1000, 1).unwrap();
    assert_eq!(bench.bound(1), ["stays", "late"]);
}

#[test]
fn a_full_queue_says_when_it_will_be_empty() {
    let mut bench = Bench::new(Limits { jobs: 3, bytes: 100 });
    let queue = bench.scheduler.open('a', flat(10, 2));
    for job in ["1", "2", "3"] {
        bench.submit(queue, job, 1000, 0).unwrap();
    }
    assert_eq!(bench.submit(queue, "4", 1000, 0), Err(Refused::Full { retry_after: 20 * MS }));
    bench.bound(0);
    let mut of =
        |bytes| bench.scheduler.submit(queue, vec![("large", bytes)], bench.start + 1000 * MS, bench.start);
    assert_eq!(of(100), Err(Refused::Full { retry_after: 20 * MS }), "one byte waits");
    assert!(of(99).is_ok());
}

#[test]
fn a_job_that_would_be_late_is_refused_with_the_time_of_the_drain() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 1));
    bench.submit(queue, "runs", 1000, 0).unwrap();
    bench.bound(0);
    bench.submit(queue, "waits", 1000, 0).unwrap();
    // Free at 10 ms, behind "waits" at 20 ms, done at 30 ms.
    assert_eq!(bench.submit(queue, "late", 29, 0), Err(Refused::Late { retry_after: 20 * MS }));
    assert!(bench.submit(queue, "in time", 30, 0).is_ok());
}

#[test]
fn a_job_that_would_make_another_late_is_refused() {
    let mut bench = bench();
    let a = bench.scheduler.open('a', flat(10, 1));
    let b = bench.scheduler.open('b', flat(10, 1));
    bench.submit(a, "promised", 15, 0).unwrap();
    // Its deadline is earlier, so it would go first and be in time itself.
    assert!(matches!(bench.submit(b, "pushing", 12, 0), Err(Refused::Late { .. })));
    assert_eq!(bench.bound(0), ["promised"]);
}

#[test]
fn the_margin_is_kept_free_before_the_deadline() {
    let mut bench = bench();
    bench.scheduler = Scheduler::new(1, Limits::default(), 0.5);
    let queue = bench.scheduler.open('a', flat(20, 1));
    assert!(matches!(bench.submit(queue, "29 ms", 29, 0), Err(Refused::Late { .. })));
    assert!(bench.submit(queue, "30 ms", 30, 0).is_ok());
}

#[test]
fn an_idle_queue_whose_first_measurement_was_wrong_opens_again() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(4000, 1)); // on a machine that was busy with something else
    let mut refused = 0;
    let opens = (0..100).map(|second| 1000 * second).find(|&now| {
        let admitted = bench.submit(queue, "job", now + 3000, now).is_ok();
        refused += usize::from(!admitted);
        admitted
    });
    assert!(opens.is_some_and(|ms| ms <= 11_000), "{opens:?}");
    assert!(refused >= 10, "not at once");
    let now = opens.unwrap();
    assert_eq!(bench.bound(now), ["job"]);
    bench.scheduler.observe(queue, 1, 200 * MS, bench.at(now + 200));
    bench.scheduler.finished(0, bench.at(now + 200));
    assert!(bench.submit(queue, "next", now + 500, now + 200).is_ok(), "it knows better now");
}

#[test]
fn a_job_that_can_no_longer_be_in_time_does_not_run() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 4));
    bench.submit(queue, "runs", 1000, 0).unwrap();
    bench.bound(0);
    bench.submit(queue, "hurried", 25, 0).unwrap();
    bench.submit(queue, "patient", 1000, 0).unwrap();
    bench.scheduler.finished(0, bench.at(16));
    let pull = bench.pull(16); // the batch took longer than it should have
    assert_eq!(pull.expired.iter().map(|(_, job)| job.payload).collect::<Vec<_>>(), ["hurried"]);
    assert_eq!(pull.bound.unwrap().jobs[0].payload, "patient");
    assert_eq!(bench.scheduler.waiting(), (0, 0));
}

#[test]
fn a_device_that_overruns_soon_admits_nothing() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 4));
    bench.submit(queue, "hangs", 1000, 0).unwrap();
    bench.bound(0);
    assert!(bench.submit(queue, "early", 50, 5).is_ok());
    assert!(matches!(bench.submit(queue, "later", 540, 500), Err(Refused::Late { .. })));
}

#[test]
fn a_slow_spell_of_one_queue_is_forgotten_while_another_keeps_the_device_busy() {
    let mut bench = bench();
    let (slow, busy) = (bench.scheduler.open('s', flat(10, 1)), bench.scheduler.open('b', flat(10, 1)));
    (0..20).for_each(|at| bench.scheduler.observe(slow, 1, 1000 * MS, bench.at(at)));
    bench.submit(busy, "running", 60_000, 100).unwrap();
    bench.bound(100);
    bench.submit(busy, "waiting", 60_000, 100).unwrap();
    assert!(matches!(bench.submit(slow, "too soon", 200, 101), Err(Refused::Late { .. })));
    bench.bound(12_000);
    assert!(bench.submit(slow, "in time", 12_100, 12_000).is_ok());
}

#[test]
fn a_queue_is_not_taken_for_fast_again_while_its_batch_runs_long() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 1));
    (0..40).for_each(|at| bench.scheduler.observe(queue, 1, 20_000 * MS, bench.at(at)));
    bench.submit(queue, "runs", 90_000, 100).unwrap();
    bench.bound(100);
    assert!(matches!(bench.submit(queue, "late", 30_000, 15_000), Err(Refused::Late { .. })));
}

#[test]
fn jobs_that_are_due_together_are_admitted_together_or_not_at_all() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 2));
    let three = || ["1", "2", "3"].map(|job| (job, 1)).to_vec();
    let (short, long, now) = (bench.at(19), bench.at(20), bench.at(0));
    assert!(matches!(bench.scheduler.submit(queue, three(), short, now), Err(Refused::Late { .. })));
    assert_eq!(bench.scheduler.waiting(), (0, 0));
    assert_eq!(bench.scheduler.submit(queue, three(), long, now).unwrap().len(), 3);
    assert!(bench.scheduler.submit(queue, Vec::new(), now, now).unwrap().is_empty(), "none are never late");
}

#[test]
fn a_size_that_does_not_fit_is_not_bound_again() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 4));
    let submit = |bench: &mut Bench| {
        for job in ["1", "2", "3", "4"] {
            bench.submit(queue, job, 1000, 0).unwrap();
        }
    };
    submit(&mut bench);
    assert_eq!(bench.bound(0).len(), 4);
    bench.scheduler.out_of_memory(queue, 4);
    submit(&mut bench);
    assert_eq!(bench.bound(10).len(), 2);
}

#[test]
fn a_closed_queue_runs_what_waits_in_it_and_then_gives_up_its_key() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 4));
    bench.submit(queue, "last", 1000, 0).unwrap();
    bench.scheduler.close(queue);
    assert!(bench.scheduler.take_closed().is_empty());
    assert_eq!(bench.bound(0), ["last"]);
    assert_eq!(bench.scheduler.take_closed().len(), 1);
    assert!(bench.scheduler.status(bench.at(1)).is_empty());
}

#[test]
fn a_queue_s_status_tells_what_one_more_job_would_wait() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 2));
    for job in ["1", "2"] {
        bench.submit(queue, job, 1000, 0).unwrap();
    }
    let status = bench.scheduler.status(bench.at(4)).remove(0);
    assert_eq!((status.key, status.depth, status.bytes), ('a', 2, 2));
    assert_eq!(status.oldest_age, 4 * MS);
    assert_eq!(status.predicted_wait, 20 * MS, "behind a full batch, then its own");
}

#[test]
fn only_a_batch_that_cannot_grow_is_given_ahead_and_only_one() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 2));
    assert!(bench.ahead(0).is_empty(), "an idle device pulls");
    bench.submit(queue, "1", 1000, 0).unwrap();
    bench.bound(0);
    bench.submit(queue, "2", 1000, 1).unwrap();
    assert!(bench.ahead(1).is_empty(), "one more may join");
    for job in ["3", "4", "5"] {
        bench.submit(queue, job, 1000, 2).unwrap();
    }
    assert_eq!(bench.ahead(2), ["2", "3"]);
    assert!(bench.ahead(2).is_empty(), "one is enough");
    assert_eq!(bench.scheduler.due(0), Some(bench.at(10)), "that of the batch that runs");
    bench.scheduler.finished(0, bench.at(13));
    assert_eq!(bench.scheduler.due(0), Some(bench.at(23)), "it starts where the one before has ended");
    assert_eq!(bench.ahead(13), ["4", "5"]);
    assert!(!bench.scheduler.is_idle());
    (0..2).for_each(|_| bench.scheduler.finished(0, bench.at(30)));
    assert!(bench.scheduler.is_idle());
}

#[test]
fn a_batch_that_a_deadline_keeps_small_is_given_ahead() {
    let mut bench = bench();
    let cost = CostModel::measured(&[(1, 10 * MS), (4, 12 * MS)]).unwrap();
    let queue = bench.scheduler.open('a', cost);
    bench.submit(queue, "runs", 1000, 0).unwrap();
    bench.bound(0);
    bench.submit(queue, "hurried", 20, 0).unwrap();
    assert!(bench.ahead(0).is_empty(), "somebody may come who fits, as far as is known");
    bench.submit(queue, "patient", 1000, 0).unwrap();
    assert_eq!(bench.ahead(0), ["hurried"], "with the other it would be late, and nobody passes the other");
}

#[test]
fn a_job_that_would_be_late_after_the_running_batch_is_not_given_ahead_and_not_given_up() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 1));
    bench.submit(queue, "runs", 1000, 0).unwrap();
    bench.bound(0);
    bench.submit(queue, "in time", 25, 0).unwrap();
    assert!(bench.ahead(13).is_empty(), "the batch overruns: by as much again, so the job would be late");
    assert_eq!(bench.bound(14), ["in time"], "it did not");
}

#[test]
fn what_another_device_will_run_sooner_is_left_to_it() {
    let mut bench = bench();
    bench.scheduler = Scheduler::new(2, Limits::default(), 0.0);
    let queue = bench.scheduler.open('a', flat(10, 1));
    bench.submit(queue, "other", 1000, 0).unwrap();
    bench.scheduler.pull(1, bench.at(0));
    bench.submit(queue, "own", 1000, 5).unwrap();
    bench.pull(5);
    bench.submit(queue, "1", 1000, 6).unwrap();
    assert!(bench.ahead(6).is_empty(), "the other is free at 10, this one at 15");
    bench.submit(queue, "2", 1000, 6).unwrap();
    assert_eq!(bench.ahead(6), ["2"]);
    assert_eq!(jobs(bench.scheduler.prefetch(1, bench.at(6))), ["1"]);
}

#[test]
fn what_is_given_ahead_counts_in_the_wait_of_those_behind_it() {
    let mut bench = bench();
    let queue = bench.scheduler.open('a', flat(10, 1));
    for job in ["runs", "ahead", "waits"] {
        bench.submit(queue, job, 1000, 0).unwrap();
    }
    bench.bound(0);
    assert_eq!(bench.ahead(0), ["ahead"]);
    assert_eq!(bench.scheduler.status(bench.at(4))[0].predicted_wait, 36 * MS);
    // The first overruns by 3 ms, and is expected to take as long again.
    assert_eq!(bench.scheduler.status(bench.at(13))[0].predicted_wait, 33 * MS);
}
