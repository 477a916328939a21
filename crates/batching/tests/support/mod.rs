//! A worker that does what the test says, and an observer that writes down what it is told.
#![allow(dead_code, reason = "each test file uses its part")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spadework_batching::{
    BatchError, BatchOutputs, Batcher, Completed, CostModel, Device, Failure, FailureReason, Observer, Queue,
    Settings, Stage, Started, Ticket, Worker,
};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Longer than anything here takes: a test that waits in vain fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a batch is to do, at its beginning and, once it has begun, at its end.
pub(crate) enum Order {
    /// Begin: the device works on it by itself.
    Begin,
    /// Answer each job with itself.
    Echo,
    /// The same, after the device has worked on it for so long. Only at the end.
    Ran(Duration),
    /// Answer one output too few.
    Short,
    Fail,
    OutOfMemory,
    Panic,
    LoseDevice,
    /// Nothing becomes of the batch yet, but whoever watches for its end panics. Only at the end.
    PanicWatcher,
}

/// Says which jobs it got, then waits for its order; and says it again when a batch that has begun is waited for or
/// watched.
pub(crate) struct Gate {
    entered: Sender<(&'static str, Vec<u32>)>,
    waited: Sender<Vec<u32>>,
    orders: Arc<Mutex<Receiver<Order>>>,
    ends: Arc<Mutex<Receiver<Order>>>,
}

/// A batch that the device works on.
struct Flight {
    jobs: Vec<u32>,
    waited: Sender<Vec<u32>>,
    ends: Arc<Mutex<Receiver<Order>>>,
    /// Locked by who waits.
    end: Mutex<End>,
}

#[derive(Default)]
enum End {
    #[default]
    ToCome,
    Come(Order),
    /// Somebody has the outputs.
    Taken,
}

impl Worker for Gate {
    type Key = &'static str;
    type Job = u32;
    type Output = u32;

    fn start(&mut self, key: &&'static str, jobs: &[u32]) -> Result<Started<u32>, BatchError> {
        self.entered.send((*key, jobs.to_vec())).unwrap();
        match next(&self.orders) {
            Order::Begin => {
                let (jobs, waited, ends) = (jobs.to_vec(), self.waited.clone(), self.ends.clone());
                let flight = Arc::new(Flight { jobs, waited, ends, end: Mutex::default() });
                let watched = flight.clone();
                Ok(Started::Running {
                    ended: Box::new(move || watched.watch()),
                    wait: Box::new(move || flight.finish()),
                })
            }
            order => obey(order, jobs).map(|finished| Started::Complete(finished.outputs)),
        }
    }
}

impl Flight {
    fn watch(&self) {
        let mut end = self.end();
        if matches!(*end, End::Come(Order::PanicWatcher)) {
            *end = End::ToCome;
            drop(end);
            panic!("as ordered");
        }
    }

    fn finish(&self) -> Result<BatchOutputs<u32>, BatchError> {
        match std::mem::replace(&mut *self.end(), End::Taken) {
            End::Come(order) => obey(order, &self.jobs),
            End::ToCome | End::Taken => panic!("a batch ends once"),
        }
    }

    /// Waits for the end, unless it has come.
    fn end(&self) -> MutexGuard<'_, End> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*end, End::ToCome) {
            let _ = self.waited.send(self.jobs.clone()); // a test that has ended does not care
            *end = End::Come(next(&self.ends));
        }
        end
    }
}

fn next(orders: &Mutex<Receiver<Order>>) -> Order {
    // A test that has ended wants nothing any more.
    orders.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap_or(Order::Echo)
}

fn obey(order: Order, jobs: &[u32]) -> Result<BatchOutputs<u32>, BatchError> {
    let all = |ran| Ok(BatchOutputs { outputs: jobs.to_vec(), ran });
    match order {
        Order::Begin | Order::PanicWatcher => panic!("not now"),
        Order::Echo => all(Duration::ZERO),
        Order::Ran(ran) => all(ran),
        Order::Short => Ok(BatchOutputs { outputs: jobs[1..].to_vec(), ran: Duration::ZERO }),
        Order::Fail => Err(BatchError::Failed("as ordered".into())),
        Order::OutOfMemory => Err(BatchError::OutOfMemory("as ordered".into())),
        Order::Panic => panic!("as ordered"),
        Order::LoseDevice => Err(BatchError::DeviceLost("as ordered".into())),
    }
}

/// The test's end of one or more gates.
pub(crate) struct Hand {
    entered: Receiver<(&'static str, Vec<u32>)>,
    waited: Receiver<Vec<u32>>,
    orders: Sender<Order>,
    /// By device.
    ends: Vec<Sender<Order>>,
}

impl Hand {
    /// Waits until a batch is on a device; its jobs.
    pub(crate) fn entered(&self) -> Vec<u32> {
        self.entered_with_key().1
    }

    pub(crate) fn entered_with_key(&self) -> (&'static str, Vec<u32>) {
        self.entered.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until somebody waits for a batch that has begun, or watches for its end; its jobs.
    pub(crate) fn waited(&self) -> Vec<u32> {
        self.waited.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for the next batch and lets the device work on it; its jobs.
    pub(crate) fn begin(&self) -> Vec<u32> {
        let jobs = self.entered();
        self.order(Order::Begin);
        jobs
    }

    /// What the next batch does at its beginning.
    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// How the batch ends that the first device works on.
    pub(crate) fn end(&self, order: Order) {
        self.end_on(0, order);
    }

    pub(crate) fn end_on(&self, device: usize, order: Order) {
        self.ends[device].send(order).unwrap();
    }

    /// Waits for the next batch and lets it succeed; its jobs.
    pub(crate) fn pass(&self) -> Vec<u32> {
        let jobs = self.entered();
        self.order(Order::Echo);
        jobs
    }

    /// Whether no batch has come to a device since the last was taken notice of.
    pub(crate) fn nothing_entered(&self) -> bool {
        self.entered.try_recv().is_err()
    }
}

/// What was observed, as text.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|note| note.starts_with(text)).count()
    }
}

impl Observer<&'static str> for Notes {
    fn batch_finished(&self, device: &str, key: &&'static str, size: usize, _: Duration) {
        self.note(format!("finished {key} {size} on {device}"));
    }

    fn batch_failed(
        &self,
        device: &str,
        key: &&'static str,
        size: usize,
        _: Duration,
        reason: FailureReason,
        cause: &(dyn Error + 'static),
    ) {
        self.note(format!("failed {key} {size} {reason:?} on {device}: {cause}"));
    }

    fn cancelled(&self, key: &&'static str, stage: Stage) {
        self.note(format!("cancelled {key} {stage:?}"));
    }

    fn deadline_missed(&self, key: &&'static str) {
        self.note(format!("missed {key}"));
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Hands {
    start: Instant,
    moved: Arc<AtomicU64>,
}

impl Hands {
    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.moved.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.moved.fetch_add(time.as_nanos() as u64, Ordering::SeqCst);
    }
}

/// A batcher whose devices and clock the test moves.
pub(crate) struct Bench {
    pub(crate) batcher: Batcher<Gate>,
    pub(crate) hand: Hand,
    pub(crate) notes: Notes,
    pub(crate) clock: Hands,
    /// How often a worker was built.
    pub(crate) built: Arc<AtomicU64>,
}

/// `devices` gated devices, all moved by one hand.
pub(crate) fn bench(devices: usize) -> Bench {
    let (entered, entered_at) = channel();
    let (waited, waited_at) = channel();
    let (orders, orders_at) = channel();
    let orders_at = Arc::new(Mutex::new(orders_at));
    let (ends, mut ends_at): (Vec<_>, Vec<_>) = (0..devices).map(|_| channel()).unzip();
    let built = Arc::new(AtomicU64::new(0));
    let mut device = |index: usize| {
        let ends = Arc::new(Mutex::new(ends_at.remove(0)));
        let (entered, waited) = (entered.clone(), waited.clone());
        let (orders, built) = (orders_at.clone(), built.clone());
        Device::new(format!("gate{index}"), move || {
            built.fetch_add(1, Ordering::SeqCst);
            Ok(Gate {
                entered: entered.clone(),
                waited: waited.clone(),
                orders: orders.clone(),
                ends: ends.clone(),
            })
        })
    };
    let clock = Hands { start: Instant::now(), moved: Arc::default() };
    let read = clock.clone();
    let notes = Notes::default();
    let batcher = Batcher::start(
        Settings::default(),
        Arc::new(move || read.now()),
        Arc::new(notes.clone()),
        (0..devices).map(&mut device).collect(),
    )
    .unwrap();
    let hand = Hand { entered: entered_at, waited: waited_at, orders, ends };
    Bench { batcher, hand, notes, clock, built }
}

impl Bench {
    /// Submits `job`, due in an hour.
    pub(crate) fn submit(&self, queue: &Queue<Gate>, job: u32) -> Ticket<Gate> {
        queue.submit(job, 1, self.clock.now() + Duration::from_secs(3600)).unwrap()
    }

    /// A queue with a batch of `job` on the device, and its ticket.
    pub(crate) fn busy(&self, largest: usize, job: u32) -> (Queue<Gate>, Ticket<Gate>) {
        let queue = self.batcher.open("model", cost(largest));
        let ticket = self.submit(&queue, job);
        assert_eq!(self.hand.entered(), [job]);
        (queue, ticket)
    }
}

pub(crate) fn reason(answer: Result<Completed<u32>, Failure>) -> FailureReason {
    match answer.unwrap_err() {
        Failure::Batch { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

/// Batches of any size up to `largest` take 10 ms.
pub(crate) fn cost(largest: usize) -> CostModel {
    CostModel::measured(&[(1, 10 * MS), (largest, 10 * MS)]).unwrap()
}
