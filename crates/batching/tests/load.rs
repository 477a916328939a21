//! Many callers, several devices, real threads and a real clock: nothing is lost, mixed up or run twice.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spadework_batching::{
    BatchError, BatchOutputs, Batcher, CostModel, Device, Failure, FailureReason, Queue, Refused, Settings,
    Started, Worker,
};

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    /// Fails the batch it is in.
    Fails,
    /// Panics its batch.
    Panics,
    /// Does not fit into a batch of more than one.
    Large,
    /// Its caller leaves at once.
    Leaves,
}

/// When a batch meets its fate.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The worker computes.
    Computes,
    /// A device works by itself; what goes wrong is known when a batch begins.
    FailsEarly,
    /// The same; it is known when a batch is waited for.
    FailsLate,
}

/// Runs jobs by their fate, and writes down which were answered.
struct Fateful(Arc<Mutex<Vec<u32>>>, Kind);

impl Worker for Fateful {
    type Key = usize;
    type Job = (u32, Fate);
    type Output = u32;

    fn start(&mut self, _: &usize, jobs: &[(u32, Fate)]) -> Result<Started<u32>, BatchError> {
        let (ran, jobs) = (self.0.clone(), jobs.to_vec());
        let own = jobs.clone();
        let finished = move || {
            let outputs = own.iter().map(|job| job.0).collect::<Vec<_>>();
            ran.lock().unwrap().extend(&outputs);
            BatchOutputs { outputs, ran: Duration::from_micros(20) }
        };
        match self.1 {
            Kind::Computes => meet(&jobs).map(|()| Started::Complete(finished().outputs)),
            Kind::FailsEarly => meet(&jobs).map(|()| running(move || Ok(finished()))),
            Kind::FailsLate => Ok(running(move || meet(&jobs).map(|()| finished()))),
        }
    }
}

/// A device that works for some time.
fn running(wait: impl FnOnce() -> Result<BatchOutputs<u32>, BatchError> + 'static) -> Started<u32> {
    let end = Instant::now() + Duration::from_micros(20);
    let passed = move || std::thread::sleep(end.saturating_duration_since(Instant::now()));
    let wait = move || {
        passed();
        wait()
    };
    Started::Running { ended: Box::new(passed), wait: Box::new(wait) }
}

fn meet(jobs: &[(u32, Fate)]) -> Result<(), BatchError> {
    let any = |fate| jobs.iter().any(|job| job.1 == fate);
    if any(Fate::Large) && jobs.len() > 1 {
        return Err(BatchError::OutOfMemory("large".into()));
    }
    if any(Fate::Fails) {
        return Err(BatchError::Failed("fails".into()));
    }
    assert!(!any(Fate::Panics), "panics");
    Ok(())
}

fn start(devices: usize, kind: Kind) -> (Batcher<Fateful>, Arc<Mutex<Vec<u32>>>) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let device = |index: usize| {
        let ran = ran.clone();
        Device::new(format!("cpu{index}"), move || Ok(Fateful(ran.clone(), kind)))
    };
    let devices = (0..devices).map(device).collect();
    let batcher = Batcher::start(Settings::default(), Arc::new(Instant::now), Arc::new(()), devices).unwrap();
    (batcher, ran)
}

fn open(batcher: &Batcher<Fateful>, key: usize) -> Queue<Fateful> {
    let micros = Duration::from_micros;
    let cost = CostModel::measured(&[(1, micros(20)), (8, micros(30))]).unwrap();
    batcher.open(key, cost)
}

fn hour() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Works),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Panics),
        1 => Just(Fate::Large),
        2 => Just(Fate::Leaves),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_job_gets_its_own_answer_once(
        devices in 1..4usize,
        kind in prop::sample::select(vec![Kind::Computes, Kind::FailsEarly, Kind::FailsLate]),
        fates in prop::collection::vec((0..3usize, fate()), 1..120),
    ) {
        let (batcher, ran) = start(devices, kind);
        let queues: Vec<_> = (0..3).map(|key| open(&batcher, key)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let mut callers = Vec::new();
            for (id, (queue, fate)) in (0..).zip(fates.iter().copied()) {
                let ticket = queues[queue].submit((id, fate), 1, hour()).unwrap();
                if fate != Fate::Leaves {
                    callers.push((id, fate, tokio::spawn(ticket)));
                }
            }
            for (id, fate, caller) in callers {
                match (caller.await.unwrap(), fate) {
                    (Ok(done), Fate::Works | Fate::Large) => assert_eq!(done.output, id),
                    // Whoever shares its batch fails with it; whether anybody does depends on the threads.
                    (Err(Failure::Batch { reason, .. }), _) => assert!(
                        matches!(
                            reason,
                            FailureReason::Failed | FailureReason::Panicked | FailureReason::OutOfMemory
                        ),
                        "{reason:?}"
                    ),
                    (answer, fate) => panic!("{fate:?} was answered {answer:?}"),
                }
            }
            batcher.drain().await;
        });
        let ran = ran.lock().unwrap();
        prop_assert_eq!(ran.iter().collect::<HashSet<_>>().len(), ran.len(), "no job is answered twice");
    }
}

#[test]
fn a_drain_under_load_loses_no_admitted_job() {
    drain_under_load(Kind::Computes);
    drain_under_load(Kind::FailsLate);
}

fn drain_under_load(kind: Kind) {
    let (batcher, ran) = start(2, kind);
    let queue = open(&batcher, 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (sender, first_answers) = std::sync::mpsc::channel();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (queue, sender) = (queue.clone(), sender.clone());
            runtime.spawn(async move {
                let mut answered = 0;
                for job in 0.. {
                    match queue.submit((caller << 24 | job, Fate::Works), 1, hour()) {
                        Ok(ticket) => assert_eq!(ticket.await.unwrap().output, caller << 24 | job),
                        Err(Refused::Draining) => break,
                        Err(refused) => panic!("{refused}"),
                    }
                    answered += 1;
                    let _ = sender.send(()); // nobody listens once the drain has begun
                }
                answered
            })
        })
        .collect();
    (0..100).for_each(|_| first_answers.recv().unwrap());
    runtime.block_on(async {
        batcher.drain().await;
        let mut answered = 0;
        for caller in callers {
            answered += caller.await.unwrap();
        }
        assert!(answered >= 100);
        assert_eq!(ran.lock().unwrap().len(), answered);
    });
}
