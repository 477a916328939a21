//! Many instances behind a balancer, each with the real scheduler, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp, LogNormal};
use spadework_batching::scheduler::{Bound, Scheduler};
use spadework_batching::{CostModel, QueueId, Settings, Waiting};

/// How a request finds its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balancer {
    /// Any of them, as a Kubernetes Service chooses.
    Random,
    /// The one of two random ones that has fewer requests without an answer, as many proxies choose.
    LeastOfTwo,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) instances: usize,
    pub(crate) balancer: Balancer,
    /// Requests a second over all of them, at random moments.
    pub(crate) rate: f64,
    pub(crate) deadline: Duration,
    /// How long requests come.
    pub(crate) span: Duration,
    /// The time of a batch.
    pub(crate) cost: CostModel,
    /// From a batch's end to its answers.
    pub(crate) codec: Duration,
    /// The share by which a batch's time varies: the standard deviation of its logarithm.
    pub(crate) jitter: f64,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) refused: usize,
    /// Answered after their deadline, or not at all because of it.
    pub(crate) late: usize,
    pub(crate) batches: usize,
    /// From arrival to answer of those in time, sorted.
    pub(crate) waits: Vec<Duration>,
    /// From the first arrival to the last answer.
    pub(crate) lasted: Duration,
}

impl Outcome {
    /// The wait that a share of the answers do not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.waits.len() as f64).ceil() as usize;
        self.waits.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Answers in time, a second.
    pub(crate) fn useful_per_second(&self) -> f64 {
        self.waits.len() as f64 / self.lasted.as_secs_f64().max(1e-9)
    }
}

/// Requests a second that one instance can answer at most.
pub(crate) fn capacity(cost: &CostModel) -> f64 {
    cost.knee() as f64 / cost.time(cost.knee()).as_secs_f64()
}

/// Lets requests come for `plan.span`, and waits until all are answered.
pub(crate) fn simulate(plan: &Plan) -> Outcome {
    let mut fleet = Fleet::new(plan);
    let gaps = Exp::new(plan.rate).expect("a rate is more than 0");
    let mut arrival = fleet.start;
    loop {
        arrival += Duration::from_secs_f64(gaps.sample(&mut fleet.numbers));
        if arrival > fleet.start + plan.span {
            break;
        }
        fleet.finish_batches(Some(arrival));
        fleet.arrive(arrival);
    }
    fleet.finish_batches(None);
    fleet.outcome.waits.sort_unstable();
    fleet.outcome
}

struct Fleet<'a> {
    plan: &'a Plan,
    instances: Vec<Instance>,
    /// When batches end, the next one first.
    ends: BinaryHeap<Reverse<(Instant, usize)>>,
    numbers: StdRng,
    start: Instant,
    outcome: Outcome,
}

/// One process with one device.
struct Instance {
    scheduler: Scheduler<(), ()>,
    queue: QueueId,
    running: Option<Running>,
    /// Requests without an answer.
    open: usize,
}

struct Running {
    jobs: Vec<Waiting<()>>,
    began: Instant,
}

impl<'a> Fleet<'a> {
    fn new(plan: &'a Plan) -> Self {
        let settings = Settings::default();
        let instance = |_| {
            let mut scheduler = Scheduler::new(1, settings.limits, settings.margin);
            let queue = scheduler.open((), plan.cost.clone());
            Instance { scheduler, queue, running: None, open: 0 }
        };
        Self {
            plan,
            instances: (0..plan.instances).map(instance).collect(),
            ends: BinaryHeap::new(),
            numbers: StdRng::seed_from_u64(plan.rate.to_bits()),
            start: Instant::now(),
            outcome: Outcome::default(),
        }
    }

    fn arrive(&mut self, now: Instant) {
        self.outcome.requests += 1;
        let place = self.balance();
        let instance = &mut self.instances[place];
        let admitted = instance.scheduler.submit(
            instance.queue,
            vec![((), 1)],
            now + self.plan.deadline - self.plan.codec,
            now,
        );
        if admitted.is_err() {
            self.outcome.refused += 1;
            return;
        }
        instance.open += 1;
        if instance.running.is_none() {
            self.pull(place, now);
        }
    }

    fn balance(&mut self) -> usize {
        let mut any = || self.numbers.random_range(0..self.plan.instances);
        match self.plan.balancer {
            Balancer::Random => any(),
            Balancer::LeastOfTwo => {
                let (one, other) = (any(), any());
                if self.instances[other].open < self.instances[one].open { other } else { one }
            }
        }
    }

    /// Answers every batch that ends before `until`; all of them without it.
    fn finish_batches(&mut self, until: Option<Instant>) {
        while let Some(&Reverse((end, place))) = self.ends.peek()
            && until.is_none_or(|until| end <= until)
        {
            self.ends.pop();
            self.finish(place, end);
            self.pull(place, end);
        }
    }

    fn finish(&mut self, place: usize, end: Instant) {
        let instance = &mut self.instances[place];
        let Some(Running { jobs, began }) = instance.running.take() else { return };
        instance.scheduler.observe(instance.queue, jobs.len(), end - began, end);
        instance.scheduler.finished(0, end);
        instance.open -= jobs.len();
        let answered = end + self.plan.codec;
        self.outcome.batches += 1;
        self.outcome.lasted = answered - self.start;
        for job in jobs {
            if end <= job.deadline {
                self.outcome.waits.push(answered - job.queued_at);
            } else {
                self.outcome.late += 1;
            }
        }
    }

    fn pull(&mut self, place: usize, now: Instant) {
        let instance = &mut self.instances[place];
        let pull = instance.scheduler.pull(0, now);
        instance.open -= pull.expired.len();
        self.outcome.late += pull.expired.len();
        let Some(Bound { jobs, .. }) = pull.bound else { return };
        let noise = LogNormal::new(0.0, self.plan.jitter).expect("a jitter is not negative");
        let took = self.plan.cost.time(jobs.len()).mul_f64(noise.sample(&mut self.numbers));
        instance.running = Some(Running { jobs, began: now });
        self.ends.push(Reverse((now + took, place)));
    }
}
