//! A device that works by itself: the next batch begins while one runs, and whatever goes wrong stays with its own.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use spadework_batching::{Failure, FailureReason, Health, Queue, Settings, Ticket};
use support::{Bench, Gate, MS, Order, bench, reason};

/// Job 1 on the device, and the others of `jobs` waiting behind it, in batches of up to `largest`.
fn running(bench: &Bench, largest: usize, jobs: u32) -> (Queue<Gate>, Vec<Ticket<Gate>>) {
    let (queue, first) = bench.busy(largest, 1);
    let mut tickets = vec![first];
    tickets.extend((2..=jobs).map(|job| bench.submit(&queue, job)));
    bench.hand.order(Order::Begin);
    (queue, tickets)
}

async fn outputs(tickets: Vec<Ticket<Gate>>) -> Vec<u32> {
    let mut outputs = Vec::new();
    for ticket in tickets {
        outputs.push(ticket.await.unwrap().output);
    }
    outputs
}

#[tokio::test]
async fn the_next_batch_begins_before_the_running_one_is_waited_for_and_never_one_more() {
    let bench = bench(1);
    let (_queue, tickets) = running(&bench, 1, 4);
    for (running, ahead) in [(1, 2), (2, 3), (3, 4)] {
        assert_eq!(bench.hand.begin(), [ahead]);
        assert_eq!(bench.hand.waited(), [running]);
        assert!(bench.hand.nothing_entered(), "two are with the device");
        bench.hand.end(Order::Echo);
    }
    assert_eq!(bench.hand.waited(), [4]);
    bench.hand.end(Order::Echo);
    assert_eq!(outputs(tickets).await, [1, 2, 3, 4]);
    assert_eq!(bench.notes.count("finished model 1 on gate0"), 4);
}

#[tokio::test]
async fn a_batch_that_could_grow_waits_for_the_device() {
    let bench = bench(1);
    let (queue, mut tickets) = running(&bench, 3, 2);
    assert_eq!(bench.hand.waited(), [1]);
    tickets.push(bench.submit(&queue, 3));
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.pass(), [2, 3], "who came meanwhile has joined");
    assert_eq!(outputs(tickets).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_batch_s_time_is_the_device_s_and_waiting_behind_another_is_waiting() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 2);
    bench.hand.begin();
    assert_eq!(bench.hand.waited(), [1]);
    bench.clock.pass(10 * MS);
    bench.hand.end(Order::Ran(9 * MS)); // noticed 1 ms late
    assert_eq!(bench.hand.waited(), [2]);
    bench.clock.pass(10 * MS);
    bench.hand.end(Order::Ran(11 * MS));
    let (second, first) = (tickets.pop().unwrap().await.unwrap(), tickets.pop().unwrap().await.unwrap());
    assert_eq!((first.queued, first.ran), (MS, 9 * MS));
    assert_eq!((second.queued, second.ran), (9 * MS, 11 * MS));
    let expected = bench.batcher.status()[0].cost.time(1).as_secs_f64() * 1e3;
    assert!((9.5..10.5).contains(&expected), "no batch counts as 20 ms: {expected}");
}

#[tokio::test]
async fn an_error_at_the_beginning_or_at_the_end_is_its_own_batch_s() {
    for (beginning, end, failing) in [(Order::Fail, Order::Echo, 1), (Order::Begin, Order::Fail, 0)] {
        let bench = bench(1);
        let (_queue, mut tickets) = running(&bench, 1, 2);
        assert_eq!(bench.hand.entered(), [2]);
        bench.hand.order(beginning);
        assert_eq!(bench.hand.waited(), [1]);
        bench.hand.end(end);
        if failing == 0 {
            bench.hand.end(Order::Echo);
        }
        assert_eq!(reason(tickets.remove(failing).await), FailureReason::Failed);
        tickets.remove(0).await.unwrap();
        assert_eq!(bench.built.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_batch_with_too_few_outputs_at_its_end_does_not_touch_the_next() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 2);
    bench.hand.begin();
    bench.hand.end(Order::Short);
    bench.hand.end(Order::Echo);
    assert_eq!(tickets.pop().unwrap().await.unwrap().output, 2);
    assert_eq!(reason(tickets.pop().unwrap().await), FailureReason::Failed);
}

/// 1 has run; 2 and 3 run together, 4 and 5 are ahead.
async fn two_pairs(bench: &Bench) -> (Queue<Gate>, Vec<Ticket<Gate>>) {
    let (queue, first) = bench.busy(2, 1);
    let four = (2..6).map(|job| bench.submit(&queue, job)).collect();
    bench.hand.order(Order::Echo);
    first.await.unwrap();
    assert_eq!(bench.hand.begin(), [2, 3]);
    assert_eq!(bench.hand.begin(), [4, 5]);
    assert_eq!(bench.hand.waited(), [2, 3]);
    (queue, four)
}

#[tokio::test]
async fn out_of_memory_at_the_end_is_halved_once_the_batch_that_has_begun_is_answered() {
    let bench = bench(1);
    let (_queue, tickets) = two_pairs(&bench).await;
    bench.hand.end(Order::OutOfMemory);
    assert_eq!(bench.hand.waited(), [4, 5]);
    assert!(bench.hand.nothing_entered(), "the halves have the device for themselves");
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.begin(), [2]);
    assert_eq!(bench.hand.waited(), [2]);
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.pass(), [3], "begun or done at once");
    assert_eq!(outputs(tickets).await, [2, 3, 4, 5]);
    assert_eq!(bench.notes.count("failed model 2 OutOfMemory"), 1);
    assert_eq!(bench.batcher.status()[0].cost.limit(), 1);
}

#[tokio::test]
async fn both_batches_may_run_out_of_memory() {
    let bench = bench(1);
    let (_queue, tickets) = two_pairs(&bench).await;
    bench.hand.end(Order::OutOfMemory);
    bench.hand.end(Order::OutOfMemory);
    for job in [4, 5, 2, 3] {
        assert_eq!(bench.hand.pass(), [job]);
    }
    assert_eq!(outputs(tickets).await, [2, 3, 4, 5]);
}

#[tokio::test]
async fn what_does_not_fit_beside_another_batch_is_tried_whole_alone() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 1);
    let mut tickets: Vec<_> = (2..4).map(|job| bench.submit(&queue, job)).collect();
    bench.hand.order(Order::Begin);
    assert_eq!(bench.hand.entered(), [2, 3]);
    bench.hand.order(Order::OutOfMemory);
    assert_eq!(bench.hand.waited(), [1]);
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.begin(), [2, 3]);
    assert_eq!(bench.hand.waited(), [2, 3]);
    bench.hand.end(Order::Echo);
    tickets.insert(0, first);
    assert_eq!(outputs(tickets).await, [1, 2, 3]);
    assert_eq!(bench.batcher.status()[0].cost.limit(), 2, "it is not to blame");
    assert_eq!(bench.notes.count("failed"), 0);
}

#[tokio::test]
async fn a_panic_fails_its_own_batch_wherever_it_happens() {
    for (beginning, ends, failing) in
        [(Order::Panic, vec![Order::Echo], 1), (Order::Begin, vec![Order::Panic, Order::Echo], 0)]
    {
        let bench = bench(1);
        let (queue, mut tickets) = running(&bench, 1, 2);
        bench.hand.entered();
        bench.hand.order(beginning);
        ends.into_iter().for_each(|end| bench.hand.end(end));
        assert_eq!(reason(tickets.remove(failing).await), FailureReason::Panicked);
        tickets.remove(0).await.unwrap();
        let next = bench.submit(&queue, 3);
        bench.hand.pass();
        assert_eq!(next.await.unwrap().output, 3);
        assert_eq!(bench.built.load(Ordering::SeqCst), 2);
        assert_eq!(bench.batcher.health(), Health::Serving);
    }
}

#[tokio::test]
async fn a_device_lost_under_one_batch_fails_that_and_what_waits_and_lets_the_other_say_its_own() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 3);
    assert_eq!(bench.hand.begin(), [2]);
    bench.hand.end(Order::LoseDevice);
    assert_eq!(bench.hand.waited(), [1]);
    assert_eq!(bench.hand.waited(), [2]);
    bench.hand.end(Order::Echo); // it had ended before
    let waiting = tickets.pop().unwrap();
    assert_eq!(tickets.pop().unwrap().await.unwrap().output, 2);
    assert_eq!(reason(tickets.pop().unwrap().await), FailureReason::DeviceLost);
    assert!(matches!(waiting.await, Err(Failure::DeviceLost)));
    bench.batcher.join();
    assert!(bench.hand.nothing_entered());
    assert_eq!(bench.batcher.health(), Health::DeviceLost);
}

#[tokio::test]
async fn a_device_found_lost_when_the_next_batch_begins_still_answers_the_first() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 2);
    bench.hand.entered();
    bench.hand.order(Order::LoseDevice);
    bench.hand.end(Order::Echo);
    assert_eq!(reason(tickets.pop().unwrap().await), FailureReason::DeviceLost);
    assert_eq!(tickets.pop().unwrap().await.unwrap().output, 1);
    bench.batcher.device_lost().await;
    bench.batcher.join();
}

#[tokio::test]
async fn draining_waits_for_both() {
    let bench = bench(1);
    let (_queue, tickets) = running(&bench, 1, 3);
    bench.hand.begin();
    let drained = tokio::spawn(bench.batcher.drain());
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.begin(), [3], "what is admitted goes on as before");
    tokio::task::yield_now().await;
    assert!(!drained.is_finished());
    bench.hand.end(Order::Echo);
    bench.hand.end(Order::Echo);
    drained.await.unwrap();
    assert_eq!(outputs(tickets).await, [1, 2, 3]);
}

#[tokio::test]
async fn stopping_answers_both_at_once_and_the_thread_ends_after_them() {
    let bench = bench(1);
    let (_queue, tickets) = running(&bench, 1, 3);
    bench.hand.begin();
    bench.hand.waited();
    bench.batcher.stop();
    for ticket in tickets {
        assert!(matches!(ticket.await, Err(Failure::Draining)));
    }
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.waited(), [2]);
    bench.hand.end(Order::Echo);
    bench.batcher.join();
    assert!(bench.hand.nothing_entered());
}

#[tokio::test]
async fn a_caller_that_leaves_while_its_batch_is_ahead_is_counted_as_running() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 2);
    bench.hand.begin();
    bench.hand.waited();
    drop(tickets.pop());
    bench.hand.end(Order::Echo);
    bench.hand.end(Order::Echo);
    tickets.pop().unwrap().await.unwrap();
    bench.batcher.drain().await;
    assert_eq!((bench.notes.count("cancelled"), bench.notes.count("cancelled model Running")), (1, 1));
}

#[tokio::test]
async fn a_device_is_stalled_only_by_the_batch_that_it_works_on() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 1, 2);
    bench.hand.begin();
    bench.hand.waited();
    let late = 9 * MS + Settings::default().stall_after;
    bench.clock.pass(late);
    bench.hand.end(Order::Ran(late));
    tickets.remove(0).await.unwrap();
    bench.hand.waited();
    bench.clock.pass(2 * MS);
    assert_eq!(bench.batcher.health(), Health::Serving, "the second has only just started");
    bench.clock.pass(late);
    assert_eq!(bench.batcher.health(), Health::Stalled { device: "gate0".to_owned() });
    bench.hand.end(Order::Ran(Duration::ZERO));
    tickets.remove(0).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_is_dropped_keeps_its_key_until_its_last_batch_has_begun() {
    let bench = bench(1);
    let (queue, tickets) = running(&bench, 1, 2);
    drop(queue);
    bench.hand.begin();
    bench.hand.end(Order::Echo);
    bench.hand.end(Order::Echo);
    assert_eq!(outputs(tickets).await, [1, 2]);
    assert!(bench.batcher.status().is_empty());
}

/// Nothing can be begun ahead of `jobs`, and the device's thread is on the prefetch for what can.
fn on_the_lookout(bench: &Bench, jobs: &[u32]) {
    assert_eq!(bench.hand.waited(), jobs);
}

#[tokio::test]
async fn a_full_batch_that_comes_while_the_device_works_begins_before_the_device_has_ended() {
    let bench = bench(1);
    let (queue, mut tickets) = running(&bench, 2, 1);
    on_the_lookout(&bench, &[1]);
    tickets.push(bench.submit(&queue, 2));
    bench.clock.pass(5 * MS);
    tickets.push(bench.submit(&queue, 3));
    assert_eq!(bench.hand.begin(), [2, 3]);
    tickets.extend([4, 5, 6].map(|job| bench.submit(&queue, job)));
    assert!(bench.hand.nothing_entered(), "two are with the device");
    bench.hand.end(Order::Echo);
    assert_eq!(bench.hand.begin(), [4, 5]);
    bench.hand.end(Order::Echo);
    on_the_lookout(&bench, &[2, 3]);
    on_the_lookout(&bench, &[4, 5]);
    tickets.push(bench.submit(&queue, 7));
    assert_eq!(bench.hand.begin(), [6, 7], "who comes joins what has not begun");
    bench.hand.end(Order::Echo);
    bench.hand.end(Order::Echo);
    assert_eq!(outputs(tickets).await, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn callers_for_two_batches_keep_the_device_busy() {
    let bench = bench(1);
    let (queue, first) = bench.busy(2, 0);
    let mut running = [1, 2];
    let mut tickets = running.map(|job| bench.submit(&queue, job));
    bench.hand.order(Order::Echo);
    first.await.unwrap();
    assert_eq!(bench.hand.begin(), running);
    for _ in 0..20 {
        // Two have been answered, and the device's thread has looked for them before they come again.
        on_the_lookout(&bench, &running);
        let ahead = running.map(|job| job + 2);
        let next = ahead.map(|job| bench.submit(&queue, job));
        assert_eq!(bench.hand.begin(), ahead, "the device has not ended the batch before");
        bench.clock.pass(10 * MS);
        bench.hand.end(Order::Ran(10 * MS));
        for ticket in std::mem::replace(&mut tickets, next) {
            assert_eq!(ticket.await.unwrap().ran, 10 * MS);
        }
        running = ahead;
    }
    bench.hand.end(Order::Echo);
    assert_eq!(outputs(tickets.into()).await, running);
}

#[tokio::test]
async fn a_device_that_fails_ends_the_lookout() {
    for (order, expected) in [
        (Order::Fail, FailureReason::Failed),
        (Order::OutOfMemory, FailureReason::OutOfMemory),
        (Order::Panic, FailureReason::Panicked),
        (Order::LoseDevice, FailureReason::DeviceLost),
    ] {
        let bench = bench(1);
        let (_queue, mut tickets) = running(&bench, 2, 1);
        on_the_lookout(&bench, &[1]);
        bench.hand.end(order);
        assert_eq!(reason(tickets.remove(0).await), expected);
    }
}

#[tokio::test]
async fn when_nobody_can_watch_the_device_the_batch_is_waited_for() {
    let bench = bench(1);
    let (queue, mut tickets) = running(&bench, 2, 1);
    on_the_lookout(&bench, &[1]);
    bench.hand.end(Order::PanicWatcher);
    assert_eq!(bench.hand.waited(), [1]);
    bench.hand.end(Order::Echo);
    tickets.remove(0).await.unwrap();
    tickets.push(bench.submit(&queue, 2));
    assert_eq!(bench.hand.begin(), [2]);
    on_the_lookout(&bench, &[2]);
    tickets.extend([3, 4].map(|job| bench.submit(&queue, job)));
    assert_eq!(bench.hand.begin(), [3, 4], "the next one is watched again");
    bench.hand.end(Order::Echo);
    bench.hand.end(Order::Echo);
    assert_eq!(outputs(tickets).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_job_for_a_device_that_is_idle_does_not_wake_one_on_the_lookout_in_its_place() {
    let bench = bench(2);
    let (queue, mut tickets) = running(&bench, 2, 1);
    on_the_lookout(&bench, &[1]);
    for job in 2..10 {
        let ticket = bench.submit(&queue, job);
        assert_eq!(bench.hand.pass(), [job]);
        ticket.await.unwrap();
    }
    (0..2).for_each(|device| bench.hand.end_on(device, Order::Echo)); // whichever it is
    tickets.remove(0).await.unwrap();
}

#[tokio::test]
async fn devices_on_the_lookout_get_a_batch_each() {
    let bench = bench(2);
    let (queue, mut tickets) = running(&bench, 2, 1);
    on_the_lookout(&bench, &[1]);
    tickets.push(bench.submit(&queue, 2));
    assert_eq!(bench.hand.begin(), [2]);
    on_the_lookout(&bench, &[2]);
    for pair in [[3, 4], [5, 6]] {
        tickets.extend(pair.map(|job| bench.submit(&queue, job)));
        assert_eq!(bench.hand.begin(), pair);
    }
    tickets.extend([7, 8].map(|job| bench.submit(&queue, job)));
    assert!(bench.hand.nothing_entered(), "each has two");
    for device in [0, 1, 0, 1, 0, 1] {
        bench.hand.end_on(device, Order::Echo); // one of them is for a third batch
    }
    assert_eq!(bench.hand.begin(), [7, 8]);
    assert_eq!(outputs(tickets).await, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn stopping_ends_the_lookout_and_the_thread_ends_after_its_batch() {
    let bench = bench(1);
    let (_queue, mut tickets) = running(&bench, 2, 1);
    on_the_lookout(&bench, &[1]);
    bench.batcher.stop();
    assert!(matches!(tickets.remove(0).await, Err(Failure::Draining)));
    bench.hand.end(Order::Echo);
    bench.batcher.join();
    assert!(bench.hand.nothing_entered());
}
