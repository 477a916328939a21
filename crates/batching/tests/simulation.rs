//! A server in simulated time: callers that come, leave and wait, codec threads that slow down, devices that stall, panic and
//! run out of memory, pauses of the whole process, reloads and a drain, all drawn from a seed. Time is a value.
//!
//! A thousand seeds are run by default. `SIMULATION_SEEDS=1000000 cargo test --release --test simulation` runs a million, and
//! `SIMULATION_SEED=17` one alone.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use spadework_batching::scheduler::{Admission, Limits, Places, Scheduler};
use spadework_batching::{CostModel, Estimate, QueueId, Refused};

const MS: Duration = Duration::from_millis(1);
/// When an estimate that nothing refreshed is forgotten, with something to spare.
const FORGOTTEN: Duration = Duration::from_secs(11);
const MARGIN: f64 = 0.15;

/// What happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A caller comes.
    Arrive,
    /// A caller's files are ready.
    Prepared(usize),
    /// A device has ended its batch.
    Ended(usize),
    /// A caller's images are encoded.
    Encoded(usize),
    /// A caller leaves, or its deadline has passed.
    Leave(usize),
    /// A model is replaced.
    Reload,
    /// The whole process stands still.
    Pause,
    /// Nothing more is taken.
    Drain,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Refused,
    Late,
    Left,
    Failed,
}

/// What is drawn once.
struct World {
    devices: usize,
    /// The true time of a batch of one and what one more takes.
    base: Duration,
    each: Duration,
    largest: usize,
    encode: Duration,
    limits: Limits,
    /// Chances in a thousand, by batch or piece of work.
    panics: u32,
    stalls: u32,
    out_of_memory: u32,
    spikes: u32,
}

/// A batch on its device: its queue, its jobs, when it ends, and how.
type RunningBatch = (QueueId, Vec<(u64, usize)>, Duration, Fate);

struct Caller {
    queue: QueueId,
    count: usize,
    bytes: usize,
    deadline: Instant,
    places: Option<Places>,
    /// Its jobs that wait or run.
    jobs: Vec<u64>,
    /// Those that have no output yet.
    missing: usize,
    end: Option<End>,
}

struct Simulation {
    world: World,
    numbers: StdRng,
    scheduler: Scheduler<usize, usize>,
    queues: Vec<QueueId>,
    encode: Estimate,
    now: Instant,
    /// How long the process has stood still.
    paused: Duration,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    next_event: u64,
    callers: Vec<Caller>,
    /// By device: the callers of the batch that runs, and the next one's, with the time it takes.
    running: Vec<Vec<RunningBatch>>,
    owner: BTreeMap<u64, usize>,
    arrivals_left: usize,
    draining: bool,
    /// Since when nothing waits, runs, or is reserved.
    idle_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    Panics,
    OutOfMemory,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut numbers = StdRng::seed_from_u64(seed);
        let world = World {
            devices: numbers.random_range(1..4),
            base: numbers.random_range(1..200) * MS,
            each: numbers.random_range(0..50) * MS,
            largest: numbers.random_range(1..17),
            encode: numbers.random_range(1..100) * MS,
            limits: Limits { jobs: numbers.random_range(4..200), bytes: numbers.random_range(100..10_000) },
            panics: [0, 20, 200][numbers.random_range(0..3)],
            stalls: [0, 20, 100][numbers.random_range(0..3)],
            out_of_memory: [0, 0, 50][numbers.random_range(0..3)],
            spikes: [0, 20, 300][numbers.random_range(0..3)],
        };
        let mut scheduler = Scheduler::new(world.devices, world.limits, MARGIN);
        let queues = (0..2).map(|model| scheduler.open(model, cost(&world))).collect();
        let (devices, encode) = (world.devices, Estimate::new(world.encode.as_secs_f64()));
        let start = Instant::now();
        let mut simulation = Self {
            arrivals_left: numbers.random_range(20..150),
            world,
            numbers,
            scheduler,
            queues,
            encode,
            now: start,
            paused: Duration::ZERO,
            events: BinaryHeap::new(),
            next_event: 0,
            callers: Vec::new(),
            running: vec![Vec::new(); devices],
            owner: BTreeMap::new(),
            draining: false,
            idle_since: Some(start),
        };
        simulation.after(Duration::ZERO, Event::Arrive);
        for event in [Event::Reload, Event::Pause, Event::Drain] {
            if simulation.numbers.random_range(0..3) == 0 {
                let at = simulation.numbers.random_range(0..60_000) * MS;
                simulation.after(at, event);
            }
        }
        simulation
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((self.now + wait, self.next_event, event)));
    }

    fn chance(&mut self, in_a_thousand: u32) -> bool {
        self.numbers.random_range(0..1000) < in_a_thousand
    }

    fn run(&mut self) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = self.now.max(at);
            self.happen(event);
            self.bind_all();
            self.note_idleness();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Prepared(caller) => self.submit(caller),
            Event::Ended(device) => self.ended(device),
            Event::Encoded(caller) => {
                let took = self.world.encode; // of the work, not of what it waited
                self.encode.observe(1.0, took, self.now);
                self.idle_since = None; // until then something ran, whoever waited for it
                self.end(caller, End::Answered);
            }
            Event::Leave(caller) => {
                let late = self.now >= self.callers[caller].deadline;
                self.end(caller, if late { End::Late } else { End::Left });
            }
            Event::Reload => self.reload(),
            // Whatever was to happen meanwhile happens at its end.
            Event::Pause => {
                let pause = self.numbers.random_range(0..120_000) * MS;
                self.now += pause;
                self.paused += pause;
            }
            Event::Drain => self.draining = true,
        }
    }

    /// A request is admitted or refused, at once.
    fn arrive(&mut self) {
        self.arrivals_left -= 1;
        if self.arrivals_left > 0 {
            let gap = match self.numbers.random_range(0..20) {
                0 => self.numbers.random_range(0..30_000) * MS, // a silence
                _ => self.numbers.random_range(0..2 * self.world.base.as_millis() as u32 + 2) * MS,
            };
            self.after(gap, Event::Arrive);
        }
        let model = self.numbers.random_range(0..self.queues.len());
        let deadline = self.now + self.numbers.random_range(1..8_000) * MS;
        let count = self.numbers.random_range(1..4);
        let (queue, bytes) = (self.queues[model], self.numbers.random_range(1..100));
        let caller = self.callers.len();
        self.callers.push(Caller {
            queue,
            count,
            bytes,
            deadline,
            places: None,
            jobs: Vec::new(),
            missing: count,
            end: None,
        });
        if self.draining {
            return self.end(caller, End::Refused);
        }
        let places = Places { count, bytes };
        let least = self.scheduler.least_time(queue, count);
        match self.reserve(queue, places, deadline) {
            Ok(_) => {
                self.callers[caller].places = Some(places);
                self.after(deadline - self.now, Event::Leave(caller));
                if self.numbers.random_range(0..10) == 0 {
                    let patience = self.numbers.random_range(0..4_000) * MS;
                    self.after(patience, Event::Leave(caller));
                }
                let preparing = self.numbers.random_range(0..20) * MS;
                self.after(preparing, Event::Prepared(caller));
            }
            Err(refused) => {
                self.refusal_has_a_reason(queue, places, deadline, least, refused);
                self.end(caller, End::Refused);
            }
        }
    }

    fn reserve(&mut self, queue: QueueId, places: Places, deadline: Instant) -> Result<Duration, Refused> {
        let encoding = self.encode.time(1.0, self.now);
        let deadline = deadline.checked_sub(encoding).unwrap_or(self.now);
        self.scheduler.reserve(queue, places, deadline, self.now)
    }

    /// A refusal passes: on an idle server whose estimates are forgotten, only what never fits is refused. `least` is the least
    /// time before it: the refusal itself may take credit from the estimates, which is for the next one.
    fn refusal_has_a_reason(
        &self,
        queue: QueueId,
        places: Places,
        deadline: Instant,
        least: Duration,
        refused: Refused,
    ) {
        let idle = self.idle_since.is_some_and(|since| self.now - since > FORGOTTEN);
        if !idle {
            return;
        }
        let least = least.max(self.scheduler.least_time(queue, places.count));
        let needed = least.mul_f64(1.0 + MARGIN) + self.encode.fastest(1.0) + MS;
        let fits = places.count <= self.world.limits.jobs && places.bytes <= self.world.limits.bytes;
        let (allowed, count) = (deadline - self.now, places.count);
        assert!(
            !fits || allowed < needed,
            "an idle queue stays closed: {refused}; {count} in {allowed:?} need {needed:?}"
        );
    }

    fn submit(&mut self, caller: usize) {
        let Caller { queue, count, bytes, deadline, end, .. } = self.callers[caller];
        if end.is_some() {
            return; // it has left, and its places are free
        }
        let places = self.callers[caller].places.take().unwrap();
        self.scheduler.release(queue, places);
        let jobs = vec![(caller, bytes / count); count];
        let encoding = self.encode.time(1.0, self.now);
        let batch = deadline.checked_sub(encoding).unwrap_or(self.now);
        match self.scheduler.submit_as(Admission::Reserved, queue, jobs, batch, self.now) {
            Ok(ids) => {
                self.owner.extend(ids.iter().map(|id| (*id, caller)));
                self.callers[caller].jobs = ids;
            }
            Err(Refused::Late { .. }) => self.end(caller, End::Refused),
            Err(refused) => panic!("whoever has a place is refused: {refused}"),
        }
    }

    /// Every free device takes what it can.
    fn bind_all(&mut self) {
        for device in 0..self.world.devices {
            if self.running[device].is_empty() {
                let pull = self.scheduler.pull(device, self.now);
                for (_, expired) in pull.expired {
                    let caller = self.owner.remove(&expired.id).unwrap();
                    self.end(caller, End::Late);
                }
                if let Some(bound) = pull.bound {
                    let jobs = bound.jobs.iter().map(|job| (job.id, job.payload)).collect();
                    let (took, _) = self.begin(device, bound.queue, jobs);
                    self.after(took, Event::Ended(device));
                }
            }
            if self.running[device].len() == 1
                && let Some(bound) = self.scheduler.prefetch(device, self.now)
            {
                let jobs = bound.jobs.iter().map(|job| (job.id, job.payload)).collect();
                self.begin(device, bound.queue, jobs);
            }
        }
    }

    fn begin(&mut self, device: usize, queue: QueueId, jobs: Vec<(u64, usize)>) -> (Duration, Fate) {
        let fate = match () {
            () if self.chance(self.world.panics) => Fate::Panics,
            () if jobs.len() > 1 && self.chance(self.world.out_of_memory) => Fate::OutOfMemory,
            () => Fate::Works,
        };
        let usual = self.world.base + self.world.each * jobs.len() as u32;
        let took = match self.chance(self.world.stalls) {
            true => usual + self.numbers.random_range(0..40_000) * MS,
            false => usual.mul_f64(self.numbers.random_range(0.9..1.2)),
        };
        self.running[device].push((queue, jobs, took, fate));
        (took, fate)
    }

    fn ended(&mut self, device: usize) {
        let (queue, jobs, took, fate) = self.running[device].remove(0);
        match fate {
            Fate::Works => self.scheduler.observe(queue, jobs.len(), took, self.now),
            Fate::OutOfMemory => self.scheduler.out_of_memory(queue, jobs.len()),
            Fate::Panics => {}
        }
        for (id, caller) in jobs {
            assert_eq!(self.owner.remove(&id), Some(caller), "a job ends once");
            if self.callers[caller].end.is_some() {
                continue;
            }
            self.callers[caller].missing -= 1;
            if fate != Fate::Works {
                self.end(caller, End::Failed);
            } else if self.callers[caller].missing == 0 {
                let spike = if self.chance(self.world.spikes) { 50 } else { 1 };
                let encoding = self.world.encode * spike;
                self.encode.observe(1.0, encoding, self.now);
                self.after(encoding, Event::Encoded(caller));
            }
        }
        self.scheduler.finished(device, self.now);
        if let Some((_, _, took, _)) = self.running[device].first() {
            let took = *took;
            self.after(took, Event::Ended(device));
        }
    }

    /// A new generation takes the place of a model's queue; what waits in the old one still runs.
    fn reload(&mut self) {
        let model = self.numbers.random_range(0..self.queues.len());
        let old = std::mem::replace(&mut self.queues[model], self.scheduler.open(model, cost(&self.world)));
        if !self.callers.iter().any(|caller| caller.queue == old && caller.places.is_some()) {
            self.scheduler.close(old);
            self.scheduler.take_closed();
        }
    }

    /// The request is answered, whatever with; what it held is free.
    fn end(&mut self, caller: usize, end: End) {
        if self.callers[caller].end.is_some() {
            return; // whoever is answered does not hear it twice
        }
        let Caller { queue, deadline, .. } = self.callers[caller];
        self.callers[caller].end = Some(end);
        if let Some(places) = self.callers[caller].places.take() {
            self.scheduler.release(queue, places);
        }
        for id in std::mem::take(&mut self.callers[caller].jobs) {
            if self.scheduler.cancel(queue, id).is_some() {
                self.owner.remove(&id);
            }
        }
        // Nobody can keep a deadline that passes while the process stands still.
        assert!(self.now <= deadline + self.paused, "{end:?} comes after the deadline");
    }

    fn note_idleness(&mut self) {
        let reserved = self.callers.iter().any(|caller| caller.places.is_some());
        match self.scheduler.is_idle() && !reserved {
            true => drop(self.idle_since.get_or_insert(self.now)),
            false => self.idle_since = None,
        }
    }

    /// What holds when all has been done.
    fn check(&mut self) {
        assert!(self.callers.iter().all(|caller| caller.end.is_some()), "every request is answered");
        assert!(self.owner.is_empty(), "no job is lost");
        assert!(self.scheduler.is_idle());
        assert_eq!(self.scheduler.waiting(), (0, 0));
        // Whatever happened: soon after, a queue takes what fits.
        self.now += FORGOTTEN;
        for queue in self.queues.clone() {
            let places = Places { count: 1, bytes: 1 };
            let needed =
                self.scheduler.least_time(queue, 1).mul_f64(1.0 + MARGIN) + self.encode.fastest(1.0) + MS;
            let reserved = self.reserve(queue, places, self.now + needed);
            assert!(reserved.is_ok(), "an idle queue stays closed: {reserved:?}");
            self.scheduler.release(queue, places);
        }
    }
}

fn cost(world: &World) -> CostModel {
    let points: Vec<_> =
        (1..=world.largest).map(|size| (size, world.base + world.each * size as u32)).collect();
    CostModel::measured(&points).unwrap()
}

fn simulate(seed: u64) -> [usize; 5] {
    let mut simulation = Simulation::new(seed);
    simulation.run();
    simulation.check();
    let count = |wanted| simulation.callers.iter().filter(|caller| caller.end == Some(wanted)).count();
    [End::Answered, End::Refused, End::Late, End::Left, End::Failed].map(count)
}

#[test]
fn whatever_happens_every_request_ends_once_and_no_queue_stays_closed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(1000),
    };
    let (many, mut ends) = (seeds.end - seeds.start > 1, [0; 5]);
    for seed in seeds {
        let ended = std::panic::catch_unwind(|| simulate(seed));
        let ended = ended.unwrap_or_else(|_| panic!("SIMULATION_SEED={seed} fails"));
        ends.iter_mut().zip(ended).for_each(|(all, one)| *all += one);
    }
    println!("answered, refused, late, left, failed: {ends:?}");
    assert!(!many || ends.iter().all(|count| *count > 0), "each of them happens: {ends:?}");
}
