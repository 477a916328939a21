//! When requests are sent: at random moments whatever the answers, or as fast as so many callers can.

use std::{future::Future, thread, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Exp};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{Answer, End};

/// Requests without an answer that an open loop holds at most; one more is lost.
const MOST_OPEN: usize = 4096;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// So many a second on average, each due at a random moment (a Poisson process).
    Open {
        /// Requests a second.
        rate: f64,
    },
    /// So many callers, each sending when it has its answer.
    Closed {
        /// Callers.
        clients: usize,
    },
}

/// When to end.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// No request is due later than this.
    pub duration: Duration,
    /// Nor are more sent.
    pub requests: usize,
}

/// Sends calls with `send`, which gets the number of each, until a bound is reached and all are answered.
pub async fn drive<F>(arrival: Arrival, bounds: Bounds, send: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = End> + Send + 'static,
{
    match arrival {
        Arrival::Open { rate } => open(ticks(schedule(rate, bounds)), send).await,
        Arrival::Closed { clients } => closed(clients, bounds, send).await,
    }
}

/// Sends a call at each of `ticks`.
async fn open<F>(mut ticks: mpsc::UnboundedReceiver<Instant>, send: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = End> + Send + 'static,
{
    let mut answers = Vec::new();
    let mut running = JoinSet::new();
    for place in 0.. {
        let Some(due) = ticks.recv().await else { break };
        while let Some(ended) = running.try_join_next() {
            answers.extend(ended);
        }
        if running.len() == MOST_OPEN {
            let end = End::Lost(format!("{MOST_OPEN} requests were without an answer; it was not sent"));
            answers.push(Answer { due, lag: due.elapsed(), took: due.elapsed(), end });
            continue;
        }
        running.spawn(one(due, send(place)));
    }
    while let Some(ended) = running.join_next().await {
        answers.extend(ended);
    }
    answers
}

/// Tells each moment of `schedule`, counted from now, when it comes. A thread's sleep is exact to tens of microseconds;
/// the runtime's timers count in milliseconds.
fn ticks(schedule: Vec<Duration>) -> mpsc::UnboundedReceiver<Instant> {
    let (teller, ticks) = mpsc::unbounded_channel();
    let start = Instant::now();
    thread::spawn(move || {
        for offset in schedule {
            let due = start + offset;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if teller.send(due).is_err() {
                return;
            }
        }
    });
    ticks
}

async fn closed<F>(clients: usize, bounds: Bounds, send: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = End> + Send + 'static,
{
    let end = Instant::now() + bounds.duration;
    let (mut answers, mut running) = (Vec::new(), JoinSet::new());
    let mut places = 0..bounds.requests;
    for place in places.by_ref().take(clients) {
        running.spawn(one(Instant::now(), send(place)));
    }
    while let Some(ended) = running.join_next().await {
        answers.extend(ended);
        if Instant::now() < end
            && let Some(place) = places.next()
        {
            running.spawn(one(Instant::now(), send(place)));
        }
    }
    answers
}

async fn one(due: Instant, sending: impl Future<Output = End> + Send) -> Answer {
    let lag = due.elapsed();
    let end = sending.await;
    Answer { due, lag, took: due.elapsed(), end }
}

/// When requests are due, from the start. The same rate has the same schedule every time.
fn schedule(rate: f64, bounds: Bounds) -> Vec<Duration> {
    let Ok(gaps) = Exp::new(rate) else { return Vec::new() };
    let mut numbers = StdRng::seed_from_u64(rate.to_bits());
    let end = bounds.duration.as_secs_f64();
    let mut at = 0.0;
    let due = std::iter::from_fn(|| {
        at += gaps.sample(&mut numbers);
        (at < end).then(|| Duration::from_secs_f64(at))
    });
    due.take(bounds.requests).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, sleep_until};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn bounds(seconds: u64, requests: usize) -> Bounds {
        Bounds { duration: Duration::from_secs(seconds), requests }
    }

    #[test]
    fn a_rate_is_kept_on_average_and_the_gaps_are_random() {
        let due = schedule(50.0, bounds(100, usize::MAX));
        assert!((4800..5200).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        let short = due.windows(2).filter(|pair| pair[1] - pair[0] < 20 * MS).count();
        let share = short as f64 / due.len() as f64;
        assert!((0.60..0.66).contains(&share), "1 - 1/e of the gaps are shorter than the mean, not {share}");
        assert_eq!(schedule(50.0, bounds(100, 7)).len(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_server_does_not_slow_an_open_loop() {
        let slow = |_| async {
            sleep(5000 * MS).await;
            End::Status(200)
        };
        let (teller, ticks) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let start = Instant::now();
            for offset in schedule(20.0, bounds(10, usize::MAX)) {
                sleep_until(start + offset).await;
                teller.send(start + offset).unwrap();
            }
        });
        let answers = open(ticks, slow).await;
        assert!((150..250).contains(&answers.len()), "{}", answers.len());
        assert!(answers.iter().all(|answer| answer.took >= 5000 * MS && answer.lag <= 2 * MS));
    }

    #[tokio::test]
    async fn a_tick_comes_when_it_is_due_and_not_before() {
        let offsets = [0, 3, 3, 40].map(|ms| ms * MS);
        let start = Instant::now();
        let mut ticks = ticks(offsets.to_vec());
        for offset in offsets {
            let due = ticks.recv().await.unwrap();
            assert!(Instant::now() >= due && due >= start + offset);
        }
        assert_eq!(ticks.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_of_a_closed_loop_wait_for_their_answers() {
        let slow = |_| async {
            sleep(100 * MS).await;
            End::Status(200)
        };
        let answers = drive(Arrival::Closed { clients: 3 }, bounds(1, usize::MAX), slow).await;
        assert_eq!(answers.len(), 30);
        assert_eq!(drive(Arrival::Closed { clients: 3 }, bounds(1, 8), slow).await.len(), 8);
    }
}
