//! What holds whatever is submitted, cancelled, bound and finished, in any order and at any time.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spadework_batching::scheduler::{Bound, Limits, Scheduler};
use spadework_batching::{CostModel, QueueId, Waiting};

const MS: Duration = Duration::from_millis(1);
const DEVICES: usize = 2;
const LIMITS: Limits = Limits { jobs: 12, bytes: 60 };

#[derive(Clone, Debug)]
enum Event {
    Submit { queue: usize, count: usize, bytes: usize, due: u32 },
    Cancel { nth: usize },
    Pull { device: usize },
    PullAhead { device: usize },
    OutOfMemory { queue: usize, size: usize },
    Observe { queue: usize, size: usize, ms: u32 },
    Pass { ms: u32 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..2usize, 1..4usize, 0..9usize, 0..300u32)
            .prop_map(|(queue, count, bytes, due)| Event::Submit { queue, count, bytes, due }),
        1 => (0..40usize).prop_map(|nth| Event::Cancel { nth }),
        4 => (0..DEVICES).prop_map(|device| Event::Pull { device }),
        3 => (0..DEVICES).prop_map(|device| Event::PullAhead { device }),
        1 => (0..2usize, 1..8usize).prop_map(|(queue, size)| Event::OutOfMemory { queue, size }),
        1 => (0..2usize, 1..8usize, 0..100u32).prop_map(|(queue, size, ms)| Event::Observe { queue, size, ms }),
        3 => (0..60u32).prop_map(|ms| Event::Pass { ms }),
    ]
}

/// `(base, per_job)` ms of a batch, up to `largest` jobs.
fn cost((base, per_job, largest): (u32, u32, usize)) -> CostModel {
    let points: Vec<_> = (1..=largest).map(|size| (size, (base + per_job * size as u32) * MS)).collect();
    CostModel::measured(&points).unwrap()
}

fn costs() -> impl Strategy<Value = Vec<(u32, u32, usize)>> {
    prop::collection::vec((1..30u32, 0..20u32, 1..8usize), 2)
}

/// The scheduler beside a plain account of what should be in it.
struct Account {
    scheduler: Scheduler<usize, ()>,
    queues: Vec<QueueId>,
    now: Instant,
    /// JobQueue and bytes of every job that waits.
    waiting: BTreeMap<u64, (usize, usize)>,
    left: BTreeSet<u64>,
    /// The last job of each queue that was bound to an idle device.
    last_bound: [u64; 2],
}

impl Account {
    fn new(costs: &[(u32, u32, usize)]) -> Self {
        let mut scheduler = Scheduler::new(DEVICES, LIMITS, 0.05);
        let queues = costs.iter().enumerate().map(|(key, one)| scheduler.open(key, cost(*one))).collect();
        let (waiting, left) = (BTreeMap::new(), BTreeSet::new());
        Self { scheduler, queues, now: Instant::now(), waiting, left, last_bound: [0; 2] }
    }

    /// A job leaves the queue: once, and with what it came with.
    fn leaves(&mut self, queue: usize, job: &Waiting<()>) {
        assert_eq!(self.waiting.remove(&job.id), Some((queue, job.bytes)), "{} waited", job.id);
        assert!(self.left.insert(job.id), "{} leaves once", job.id);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Submit { queue, count, bytes, due } => {
                let (deadline, jobs) = (self.now + due * MS, vec![((), bytes); count]);
                if let Ok(ids) = self.scheduler.submit(self.queues[queue], jobs, deadline, self.now) {
                    assert_eq!(ids.len(), count);
                    self.waiting.extend(ids.into_iter().map(|id| (id, (queue, bytes))));
                }
            }
            Event::Cancel { nth } => {
                let Some((&id, &(queue, _))) = self.waiting.iter().nth(nth) else { return };
                let (key, job) = self.scheduler.cancel(self.queues[queue], id).unwrap();
                assert_eq!(key, queue);
                self.leaves(queue, &job);
            }
            Event::Pull { device } => self.pull(device),
            Event::PullAhead { device } => self.prefetch(device),
            Event::OutOfMemory { queue, size } => self.scheduler.out_of_memory(self.queues[queue], size),
            Event::Observe { queue, size, ms } => {
                self.scheduler.observe(self.queues[queue], size, ms * MS, self.now);
            }
            Event::Pass { ms } => self.now += ms * MS,
        }
        let bytes = self.waiting.values().map(|(_, bytes)| bytes).sum();
        assert_eq!(self.scheduler.waiting(), (self.waiting.len(), bytes));
        assert!(self.waiting.len() <= LIMITS.jobs && bytes <= LIMITS.bytes);
    }

    /// Lets the device end what it runs.
    fn finish(&mut self, device: usize) {
        while self.scheduler.due(device).is_some() {
            self.scheduler.finished(device, self.now);
        }
    }

    fn prefetch(&mut self, device: usize) {
        let due = self.scheduler.due(device);
        let cost = self.scheduler.status(self.now).into_iter().map(|status| status.cost).collect::<Vec<_>>();
        let Some(bound) = self.scheduler.prefetch(device, self.now) else { return };
        let start = due.unwrap().max(self.now);
        for job in &bound.jobs {
            assert!(job.id > self.last_bound[bound.key], "nobody is passed over for it");
            let end = start + cost[bound.key].latest(bound.jobs.len());
            assert!(end <= job.deadline, "{} would be late", job.id);
            self.leaves(bound.key, job);
        }
        assert!(self.scheduler.prefetch(device, self.now).is_none(), "one is enough");
    }

    fn pull(&mut self, device: usize) {
        self.finish(device);
        let cost = self.scheduler.status(self.now).into_iter().map(|status| status.cost).collect::<Vec<_>>();
        let pull = self.scheduler.pull(device, self.now);
        for (queue, job) in &pull.expired {
            assert!(job.deadline < self.now + cost[*queue].latest(1), "{} has time left", job.id);
            self.leaves(*queue, job);
        }
        let Some(bound) = pull.bound else {
            assert!(self.waiting.is_empty(), "a free device leaves nobody waiting");
            assert!(self.scheduler.due(device).is_none());
            return;
        };
        let cost = &cost[bound.key];
        assert!((1..=cost.knee()).contains(&bound.jobs.len()), "{} jobs", bound.jobs.len());
        for job in &bound.jobs {
            assert!(job.id > self.last_bound[bound.key], "first come, first served");
            assert!(self.now + cost.latest(bound.jobs.len()) <= job.deadline, "{} would be late", job.id);
            self.last_bound[bound.key] = job.id;
            self.leaves(bound.key, job);
        }
    }
}

proptest! {
    #[test]
    fn no_job_is_lost_or_leaves_twice_and_the_bounds_are_kept(
        costs in costs(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut account = Account::new(&costs);
        events.into_iter().for_each(|event| account.apply(event));
        // A device that is always free empties the queues.
        for _ in 0..=LIMITS.jobs {
            account.pull(0);
        }
        prop_assert!(account.waiting.is_empty());
        (0..DEVICES).for_each(|device| account.finish(device));
        prop_assert!(account.scheduler.is_idle());
    }

    /// The forecast at admission is what the same policy then does, so nobody waits in vain.
    #[test]
    fn what_is_admitted_is_in_time_when_batches_take_as_long_as_measured(
        costs in costs(),
        arrivals in prop::collection::vec((0..25u32, 0..2usize, 1..4usize, 0..250u32), 1..60),
        ahead in prop::bool::ANY,
    ) {
        let mut exact = Exact::new(&costs, ahead);
        let mut now = Instant::now();
        let mut admitted = 0;
        for (pause, queue, count, due) in arrivals {
            now += pause * MS;
            exact.run_until(now);
            let jobs = vec![((), 0); count];
            let ids = exact.scheduler.submit(exact.queues[queue], jobs, now + due * MS, now);
            admitted += ids.map_or(0, |ids| ids.len());
            exact.bind_all(now);
        }
        exact.run_until(now + Duration::from_secs(1000));
        prop_assert_eq!(admitted, exact.bound);
    }
}

/// Devices whose batches take exactly the measured time, and that bind anew as soon as they are free; where `ahead` says
/// so, also one batch before that.
struct Exact {
    scheduler: Scheduler<usize, ()>,
    queues: Vec<QueueId>,
    costs: Vec<CostModel>,
    ahead: bool,
    /// When each device's batch ends, and how long the one takes that was given to it ahead.
    running: [Option<Instant>; DEVICES],
    next: [Option<Duration>; DEVICES],
    bound: usize,
}

impl Exact {
    fn new(costs: &[(u32, u32, usize)], ahead: bool) -> Self {
        let mut scheduler = Scheduler::new(DEVICES, Limits::default(), 0.0);
        let queues = costs.iter().enumerate().map(|(key, one)| scheduler.open(key, cost(*one))).collect();
        let costs = costs.iter().map(|one| cost(*one)).collect();
        Self { scheduler, queues, costs, ahead, running: [None; DEVICES], next: [None; DEVICES], bound: 0 }
    }

    fn run_until(&mut self, now: Instant) {
        let next = |running: &[Option<Instant>; DEVICES]| running.iter().copied().flatten().min();
        while let Some(ends) = next(&self.running).filter(|ends| *ends <= now) {
            let device = self.running.iter().position(|running| *running == Some(ends)).unwrap();
            self.scheduler.finished(device, ends);
            self.running[device] = self.next[device].take().map(|takes| ends + takes);
            self.bind_all(ends);
        }
    }

    fn bind_all(&mut self, now: Instant) {
        for device in 0..DEVICES {
            if self.running[device].is_none() {
                let pull = self.scheduler.pull(device, now);
                assert!(pull.expired.is_empty(), "an admitted job is late");
                self.running[device] = pull.bound.map(|bound| now + self.takes(&bound));
            }
        }
        for device in 0..DEVICES {
            if self.ahead
                && let Some(bound) = self.scheduler.prefetch(device, now)
            {
                self.next[device] = Some(self.takes(&bound));
            }
        }
    }

    fn takes(&mut self, bound: &Bound<usize, ()>) -> Duration {
        self.bound += bound.jobs.len();
        self.costs[bound.key].time(bound.jobs.len())
    }
}
