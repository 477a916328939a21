//! The batcher with its threads: who shares a batch, who is answered what, and that nobody is forgotten.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use spadework_batching::{
    BatchError, Batcher, Device, Failure, FailureReason, Health, Observer, Queue, Refused, Settings,
    StartError, Started, Ticket, Worker,
};
use support::{Bench, Gate, MS, Order, bench, cost, reason};

#[tokio::test]
async fn a_job_that_arrives_while_the_device_is_busy_joins_the_next_batch() {
    let bench = bench(1);
    let (queue, first) = bench.busy(4, 1);
    let (second, third) = (bench.submit(&queue, 2), bench.submit(&queue, 3));
    bench.clock.pass(7 * MS);
    bench.hand.order(Order::Echo);
    assert_eq!(bench.hand.pass(), [2, 3]);
    let first = first.await.unwrap();
    assert_eq!((first.output, first.batch_size, first.queued, first.ran), (1, 1, Duration::ZERO, 7 * MS));
    let (second, third) = (second.await.unwrap(), third.await.unwrap());
    assert_eq!((second.output, third.output, second.batch_size), (2, 3, 2));
    assert_eq!(second.queued, 7 * MS);
}

#[tokio::test]
async fn queues_do_not_share_a_batch_even_with_equal_keys() {
    let bench = bench(1);
    let (queue, first) = bench.busy(4, 1);
    let twin = bench.batcher.open("model", cost(4));
    let tickets = [bench.submit(&queue, 2), bench.submit(&twin, 3), bench.submit(&queue, 4)];
    bench.hand.order(Order::Echo);
    assert_eq!(bench.hand.pass(), [2, 4]);
    assert_eq!(bench.hand.pass(), [3]);
    for ticket in tickets.into_iter().chain([first]) {
        ticket.await.unwrap();
    }
}

#[tokio::test]
async fn two_devices_run_two_batches_at_once() {
    let bench = bench(2);
    let (queue, first) = bench.busy(4, 1);
    let second = bench.submit(&queue, 2);
    assert_eq!(bench.hand.entered(), [2], "while the first still runs");
    bench.hand.order(Order::Echo);
    bench.hand.order(Order::Echo);
    assert_eq!((first.await.unwrap().output, second.await.unwrap().output), (1, 2));
}

#[tokio::test]
async fn a_caller_that_left_frees_its_place_before_the_next_batch() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 1);
    let gone = bench.submit(&queue, 2);
    let stays = bench.submit(&queue, 3);
    drop(gone);
    assert_eq!(bench.batcher.status()[0].depth, 1);
    let late = bench.submit(&queue, 4);
    bench.hand.order(Order::Echo);
    assert_eq!(bench.hand.pass(), [3, 4]);
    for ticket in [first, stays, late] {
        ticket.await.unwrap();
    }
    assert_eq!((bench.notes.count("cancelled"), bench.notes.count("cancelled model Queued")), (1, 1));
}

#[tokio::test]
async fn the_output_of_a_caller_that_left_while_it_ran_is_thrown_away_and_counted() {
    let bench = bench(1);
    let (queue, gone) = bench.busy(2, 1);
    drop(gone);
    bench.hand.order(Order::Echo);
    let next = bench.submit(&queue, 2);
    bench.hand.pass();
    assert_eq!(next.await.unwrap().output, 2);
    assert_eq!((bench.notes.count("cancelled"), bench.notes.count("cancelled model Running")), (1, 1));
}

#[tokio::test]
async fn a_ticket_that_was_answered_is_not_counted_as_cancelled() {
    let bench = bench(1);
    let (_queue, ticket) = bench.busy(2, 1);
    bench.hand.order(Order::Echo);
    ticket.await.unwrap();
    assert_eq!(bench.notes.count("cancelled"), 0);
}

#[tokio::test]
async fn a_job_whose_deadline_passes_while_it_waits_is_told_so_and_does_not_run() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 1);
    let hurried = queue.submit(2, 1, bench.clock.now() + 100 * MS).unwrap();
    let patient = bench.submit(&queue, 3);
    bench.clock.pass(95 * MS); // a batch takes 10
    bench.hand.order(Order::Echo);
    assert!(matches!(hurried.await, Err(Failure::DeadlinePassed)));
    assert_eq!(bench.hand.pass(), [3]);
    first.await.unwrap();
    patient.await.unwrap();
    assert_eq!(bench.notes.count("missed model"), 1);
}

#[tokio::test]
async fn a_job_that_would_be_late_is_refused_with_when_to_come_back() {
    let bench = bench(1);
    let (queue, first) = bench.busy(1, 1);
    let second = bench.submit(&queue, 2);
    let now = bench.clock.now();
    assert!(matches!(
        queue.submit(3, 1, now + 29 * MS),
        Err(Refused::Late { retry_after }) if retry_after == 20 * MS
    ));
    assert_eq!(queue.reserve(1, 1, now + 100 * MS).map(|expected| expected.wait()).ok(), Some(30 * MS));
    bench.hand.order(Order::Echo);
    bench.hand.pass();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_panic_fails_its_batch_only_and_the_worker_is_rebuilt() {
    let bench = bench(1);
    let (queue, panicked) = bench.busy(2, 1);
    let next = bench.submit(&queue, 2);
    bench.hand.order(Order::Panic);
    assert_eq!(reason(panicked.await), FailureReason::Panicked);
    bench.hand.pass();
    assert_eq!(next.await.unwrap().output, 2);
    assert_eq!(bench.built.load(Ordering::SeqCst), 2);
    assert_eq!(bench.notes.count("failed model 1 Panicked on gate0: panicked: as ordered"), 1);
    assert_eq!(bench.batcher.health(), Health::Serving);
}

#[tokio::test]
async fn a_failed_batch_and_one_with_too_few_outputs_do_not_touch_the_next() {
    let bench = bench(1);
    let (queue, failed) = bench.busy(2, 1);
    let short = [bench.submit(&queue, 2), bench.submit(&queue, 3)];
    bench.hand.order(Order::Fail);
    bench.hand.entered();
    bench.hand.order(Order::Short);
    assert_eq!(reason(failed.await), FailureReason::Failed);
    for ticket in short {
        assert_eq!(reason(ticket.await), FailureReason::Failed, "nobody gets a neighbour's output");
    }
    let next = bench.submit(&queue, 4);
    bench.hand.pass();
    assert_eq!(next.await.unwrap().output, 4);
    assert_eq!(bench.built.load(Ordering::SeqCst), 1);
}

/// Four jobs behind a first one that has ended, as one batch on the device.
async fn batch_of_four(bench: &Bench) -> (Queue<Gate>, Vec<Ticket<Gate>>) {
    let (queue, first) = bench.busy(4, 1);
    let four = (2..6).map(|job| bench.submit(&queue, job)).collect();
    bench.hand.order(Order::Echo);
    first.await.unwrap();
    assert_eq!(bench.hand.entered(), [2, 3, 4, 5]);
    (queue, four)
}

#[tokio::test]
async fn a_batch_that_does_not_fit_the_memory_is_halved_and_its_size_lowered() {
    let bench = bench(1);
    let (queue, four) = batch_of_four(&bench).await;
    bench.hand.order(Order::OutOfMemory);
    assert_eq!(bench.hand.pass(), [2, 3]);
    assert_eq!(bench.hand.pass(), [4, 5]);
    for (job, ticket) in (2..).zip(four) {
        let done = ticket.await.unwrap();
        assert_eq!((done.output, done.batch_size), (job, 2));
    }
    let first = bench.submit(&queue, 6);
    bench.hand.entered();
    let more: Vec<_> = (7..11).map(|job| bench.submit(&queue, job)).collect();
    bench.hand.order(Order::Echo);
    assert_eq!(bench.hand.pass(), [7, 8], "four are not tried again");
    assert_eq!(bench.hand.pass(), [9, 10]);
    for ticket in more.into_iter().chain([first]) {
        ticket.await.unwrap();
    }
}

#[tokio::test]
async fn a_half_that_does_not_fit_either_fails_alone() {
    let bench = bench(1);
    let (_queue, four) = batch_of_four(&bench).await;
    bench.hand.order(Order::OutOfMemory);
    bench.hand.entered();
    bench.hand.order(Order::OutOfMemory);
    assert_eq!(bench.hand.pass(), [4, 5], "each half is tried once");
    let mut answers = Vec::new();
    for ticket in four {
        answers.push(ticket.await);
    }
    assert_eq!(answers.remove(3).unwrap().output, 5);
    assert_eq!(answers.remove(2).unwrap().output, 4);
    assert!(answers.into_iter().all(|answer| reason(answer) == FailureReason::OutOfMemory));
    assert!(bench.hand.nothing_entered());
}

#[tokio::test]
async fn draining_refuses_what_is_new_and_finishes_what_is_admitted() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 1);
    let rest: Vec<_> = (2..6).map(|job| bench.submit(&queue, job)).collect();
    let drained = tokio::spawn(bench.batcher.drain());
    assert_eq!(bench.batcher.health(), Health::Draining);
    let hour = bench.clock.now() + Duration::from_secs(3600);
    assert!(matches!(queue.submit(9, 1, hour), Err(Refused::Draining)));
    assert!(matches!(queue.reserve(1, 1, hour), Err(Refused::Draining)));
    assert!(!drained.is_finished());
    bench.hand.order(Order::Echo);
    assert_eq!(bench.hand.pass(), [2, 3]);
    assert_eq!(bench.hand.pass(), [4, 5]);
    drained.await.unwrap();
    for (job, ticket) in (1..).zip(std::iter::once(first).chain(rest)) {
        assert_eq!(ticket.await.unwrap().output, job);
    }
}

#[tokio::test]
async fn an_idle_batcher_is_drained_at_once() {
    bench(1).batcher.drain().await;
}

#[tokio::test]
async fn stopping_answers_everybody_even_those_who_run() {
    let bench = bench(1);
    let (queue, running) = bench.busy(2, 1);
    let waiting = bench.submit(&queue, 2);
    bench.batcher.stop();
    for ticket in [running, waiting] {
        assert!(matches!(ticket.await, Err(Failure::Draining)));
    }
    bench.hand.order(Order::Echo);
    bench.batcher.join();
    assert!(bench.hand.nothing_entered());
}

#[tokio::test]
async fn a_lost_device_fails_what_waits_and_takes_nothing_new() {
    let bench = bench(1);
    let (queue, running) = bench.busy(2, 1);
    let waiting = bench.submit(&queue, 2);
    let lost = bench.batcher.device_lost();
    bench.hand.order(Order::LoseDevice);
    lost.await;
    assert_eq!(reason(running.await), FailureReason::DeviceLost);
    assert!(matches!(waiting.await, Err(Failure::DeviceLost)));
    let hour = bench.clock.now() + Duration::from_secs(3600);
    assert!(matches!(queue.submit(3, 1, hour), Err(Refused::DeviceLost)));
    assert_eq!(bench.batcher.health(), Health::DeviceLost);
    bench.batcher.join();
}

#[tokio::test]
async fn a_device_that_does_not_answer_in_its_time_is_reported() {
    let bench = bench(1);
    let (_queue, ticket) = bench.busy(2, 1);
    bench.clock.pass(10 * MS + Settings::default().stall_after);
    assert_eq!(bench.batcher.health(), Health::Serving);
    bench.clock.pass(MS);
    assert_eq!(bench.batcher.health(), Health::Stalled { device: "gate0".to_owned() });
    bench.hand.order(Order::Echo);
    ticket.await.unwrap();
    bench.batcher.drain().await;
    assert_eq!(bench.batcher.health(), Health::Draining, "no longer stalled");
}

#[tokio::test]
async fn a_queue_that_is_dropped_still_runs_what_waits_in_it() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 1);
    let last = bench.submit(&queue, 2);
    drop(queue);
    assert_eq!(bench.batcher.status().len(), 1);
    bench.hand.order(Order::Echo);
    bench.hand.pass();
    first.await.unwrap();
    assert_eq!(last.await.unwrap().output, 2);
    assert!(bench.batcher.status().is_empty(), "its key has gone with its last job");
}

/// Answers each job with itself.
struct Echo;

impl Worker for Echo {
    type Key = &'static str;
    type Job = u32;
    type Output = u32;

    fn start(&mut self, _: &&'static str, jobs: &[u32]) -> Result<Started<u32>, BatchError> {
        Ok(Started::Complete(jobs.to_vec()))
    }
}

/// Panics when it is told that a batch has finished.
struct Clumsy;

impl Observer<&'static str> for Clumsy {
    fn batch_finished(&self, _: &str, _: &&'static str, _: usize, _: Duration) {
        panic!("clumsy");
    }
}

#[tokio::test]
async fn a_panic_beside_a_batch_leaves_nobody_waiting() {
    let batcher = Batcher::start(
        Settings::default(),
        Arc::new(Instant::now),
        Arc::new(Clumsy),
        vec![Device::new("gate", || Ok(Echo))],
    );
    let batcher = batcher.unwrap();
    let queue = batcher.open("model", cost(1));
    let hour = Instant::now() + Duration::from_secs(3600);
    let tickets = queue.submit_all(vec![(1, 0), (2, 0)], hour).unwrap();
    for ticket in tickets {
        assert!(matches!(ticket.await, Err(Failure::DeviceLost)));
    }
    batcher.device_lost().await;
    batcher.join();
}

#[test]
fn a_worker_that_cannot_be_built_is_named() {
    let start = |device: Device<Gate>| {
        Batcher::start(Settings::default(), Arc::new(Instant::now), Arc::new(()), vec![device]).err().unwrap()
    };
    let refused = start(Device::new("cuda:7", || Err("no such device".into())));
    assert_eq!(refused.to_string(), "build the worker of device `cuda:7`");
    let panicked = start(Device::new("cuda:7", || panic!("driver")));
    assert!(
        matches!(panicked, StartError::Worker { source, .. } if source.to_string() == "panicked: driver")
    );
}

#[tokio::test]
async fn a_reserved_place_counts_for_those_that_ask_after_it_and_needs_no_margin() {
    let bench = bench(1);
    let queue = bench.batcher.open("q", cost(1));
    let deadline = bench.clock.now() + 35 * MS;
    // Three batches of 10 ms fit, with a tenth to spare.
    let mut expected = Vec::new();
    for wait in [10, 20, 30] {
        let promised = queue.reserve(1, 1, deadline).ok().unwrap();
        assert_eq!(promised.wait(), wait * MS);
        expected.push(promised);
    }
    assert!(matches!(queue.reserve(1, 1, deadline), Err(Refused::Late { .. })));
    // A place that is not taken is free again, and one that is refused was never taken.
    expected.pop();
    expected.push(queue.reserve(1, 1, deadline).ok().unwrap());
    // By now the third has less than a tenth of its wait to spare: it would not be admitted if it came now.
    bench.clock.pass(4 * MS);
    let mut tickets = Vec::new();
    for (job, promised) in (0..).zip(expected) {
        tickets.extend(queue.submit_reserved(promised, vec![(job, 1)], deadline).ok().unwrap());
    }
    for (job, ticket) in (0..).zip(tickets) {
        assert_eq!(bench.hand.pass(), [job]);
        assert_eq!(ticket.await.unwrap().output, job);
    }
}

/// A job whose end may take long, on its device's thread.
struct Clinging(Option<(Sender<()>, Receiver<()>)>);

impl Drop for Clinging {
    fn drop(&mut self) {
        if let Some((clings, until)) = self.0.take() {
            clings.send(()).unwrap();
            let _ = until.recv(); // or until the test has ended
        }
    }
}

struct Taker;

impl spadework_batching::Worker for Taker {
    type Key = &'static str;
    type Job = Clinging;
    type Output = ();

    fn start(
        &mut self,
        _: &&'static str,
        jobs: &[Clinging],
    ) -> Result<spadework_batching::Started<()>, spadework_batching::BatchError> {
        Ok(spadework_batching::Started::Complete(vec![(); jobs.len()]))
    }
}

#[tokio::test]
async fn a_device_whose_thread_never_comes_for_what_waits_is_stalled() {
    let start = Instant::now();
    let moved = Arc::new(AtomicU64::new(0));
    let read = moved.clone();
    let clock = move || start + Duration::from_millis(read.load(Ordering::SeqCst));
    let device = Device::new("gone", || Ok(Taker));
    let batcher = Batcher::start(Settings::default(), Arc::new(clock), Arc::new(()), vec![device]).unwrap();
    let queue = batcher.open("q", cost(1));
    let ((let_go, until), (clings, clung)) = (channel(), channel());
    let deadline = start + Duration::from_secs(3600);
    // Answered, but the thread does not come back from it.
    queue.submit(Clinging(Some((clings, until))), 1, deadline).unwrap().await.unwrap();
    clung.recv().unwrap();
    let waits = queue.submit(Clinging(None), 1, deadline).unwrap();
    assert_eq!(batcher.health(), Health::Serving);
    let stall = Settings::default().stall_after.as_millis() as u64;
    moved.store(stall - 1, Ordering::SeqCst);
    assert_eq!(batcher.health(), Health::Serving);
    moved.store(stall + 1, Ordering::SeqCst);
    assert_eq!(batcher.health(), Health::Stalled { device: "gone".to_owned() });
    drop(waits);
    assert_eq!(batcher.health(), Health::Stalled { device: "gone".to_owned() }, "whoever still waits");
    let_go.send(()).unwrap();
    queue.submit(Clinging(None), 1, deadline).unwrap().await.unwrap();
    assert_eq!(batcher.health(), Health::Serving);
}

#[tokio::test]
async fn a_device_that_hangs_keeps_no_job_from_the_others_and_is_stalled_though_none_waits() {
    let start = Instant::now();
    let moved = Arc::new(AtomicU64::new(0));
    let read = moved.clone();
    let clock = move || start + Duration::from_millis(read.load(Ordering::SeqCst));
    let devices = ["one", "two"].map(|name| Device::new(name, || Ok(Taker))).into();
    let batcher = Batcher::start(Settings::default(), Arc::new(clock), Arc::new(()), devices).unwrap();
    let queue = batcher.open("q", cost(1));
    let ((let_go, until), (clings, clung)) = (channel(), channel());
    let deadline = start + Duration::from_secs(3600);
    queue.submit(Clinging(Some((clings, until))), 1, deadline).unwrap().await.unwrap();
    clung.recv().unwrap();
    for _ in 0..20 {
        queue.submit(Clinging(None), 1, deadline).unwrap().await.unwrap();
    }
    moved.store(Settings::default().stall_after.as_millis() as u64 + 1, Ordering::SeqCst);
    assert!(matches!(batcher.health(), Health::Stalled { .. }));
    let_go.send(()).unwrap();
}

#[tokio::test]
async fn a_place_is_room_whatever_a_job_turns_out_to_hold() {
    let mut settings = Settings::default();
    settings.limits.bytes = 10;
    let device = Device::new("taker", || Ok(Taker));
    let batcher = Batcher::start(settings, Arc::new(Instant::now), Arc::new(()), vec![device]).unwrap();
    let queue = batcher.open("q", cost(1));
    let deadline = Instant::now() + Duration::from_secs(3600);
    let place = queue.reserve(1, 8, deadline).ok().unwrap();
    assert!(matches!(queue.reserve(1, 3, deadline), Err(Refused::Full { .. })), "a place counts");
    let tickets = queue.submit_reserved(place, vec![(Clinging(None), 50)], deadline).unwrap();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    drop(queue.reserve(1, 10, deadline).ok().unwrap());
    assert!(queue.reserve(1, 10, deadline).is_ok(), "a place that is dropped is free");
}
