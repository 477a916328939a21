//! What a load's answers amount to.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Answer, Arrival, End};

/// Reasons of lost requests that are told.
const MOST_REASONS: usize = 5;

/// What became of one load.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Requests a second that were due; none of a closed loop.
    pub rate: Option<f64>,
    /// Callers; none of an open loop.
    pub clients: Option<usize>,
    /// Requests that were due.
    pub requests: usize,
    /// From the first one's due moment to the last answer.
    pub seconds: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub lost: usize,
    /// Some of the reasons why.
    pub lost_because: Vec<String>,
    /// Pictures a second.
    pub pictures_per_second: f64,
    /// Pictures a second that came within the deadline, counted from when they were due.
    pub useful_per_second: f64,
    /// Milliseconds until a picture.
    pub picture_ms: Option<Percentiles>,
    /// Milliseconds until a refusal: 429 or 503.
    pub refusal_ms: Option<Percentiles>,
    /// Milliseconds that the generator itself was late by. If this is much, it is what was measured.
    pub lag_ms: Option<Percentiles>,
}

/// Of a set of times, in milliseconds: no more than this share of them is longer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half.
    pub p50: f64,
    /// One in twenty is longer.
    pub p95: f64,
    /// One in a hundred is longer.
    pub p99: f64,
}

impl Summary {
    /// Of `answers` to a load of `pace`; what came after `deadline` is no useful work.
    pub fn new(arrival: Arrival, deadline: Option<Duration>, answers: &[Answer]) -> Self {
        let (mut statuses, mut lost_because) = (BTreeMap::new(), Vec::new());
        let (mut pictures, mut refusals) = (Vec::new(), Vec::new());
        let mut lost = 0;
        for Answer { took, end, .. } in answers {
            match end {
                End::Status(status) => *statuses.entry(*status).or_default() += 1,
                End::Lost(reason) => {
                    lost += 1;
                    if lost_because.len() < MOST_REASONS && !lost_because.contains(reason) {
                        lost_because.push(reason.clone());
                    }
                }
            }
            match end {
                End::Status(200) => pictures.push(*took),
                End::Status(429 | 503) => refusals.push(*took),
                _ => {}
            }
        }
        let seconds = span(answers).as_secs_f64().max(1e-9);
        let useful =
            pictures.iter().filter(|took| deadline.is_none_or(|deadline| **took <= deadline)).count();
        let (rate, clients) = match arrival {
            Arrival::Open { rate } => (Some(rate), None),
            Arrival::Closed { clients } => (None, Some(clients)),
        };
        Self {
            rate,
            clients,
            requests: answers.len(),
            seconds,
            statuses,
            lost,
            lost_because,
            pictures_per_second: pictures.len() as f64 / seconds,
            useful_per_second: useful as f64 / seconds,
            picture_ms: Percentiles::of(pictures),
            refusal_ms: Percentiles::of(refusals),
            lag_ms: Percentiles::of(answers.iter().map(|answer| answer.lag).collect()),
        }
    }

    /// Requests that were refused.
    pub fn refused(&self) -> usize {
        [429, 503].iter().filter_map(|status| self.statuses.get(status)).sum()
    }
}

/// From the first request's due moment to the last answer.
fn span(answers: &[Answer]) -> Duration {
    let first = answers.iter().map(|answer| answer.due).min();
    let last = answers.iter().map(|answer| answer.due + answer.took).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
}

impl Percentiles {
    /// Of these times; none of none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).map(|time| time.as_secs_f64() * 1e3)
        };
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = (1..=100).rev().map(|i| i * MS).collect();
        assert_eq!(Percentiles::of(times), Some(Percentiles { p50: 50.0, p95: 95.0, p99: 99.0 }));
        let one = Percentiles::of(vec![7 * MS]);
        assert_eq!(one, Some(Percentiles { p50: 7.0, p95: 7.0, p99: 7.0 }));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn late_pictures_are_pictures_but_no_useful_work() {
        let start = Instant::now();
        let answer = |at: u32, took: u32, end| Answer { due: start + at * MS, lag: MS, took: took * MS, end };
        let answers = [
            answer(0, 100, End::Status(200)),
            answer(500, 1500, End::Status(200)),
            answer(600, 2, End::Status(429)),
            answer(700, 3, End::Status(503)),
            answer(800, 4, End::Lost("closed".to_owned())),
            answer(900, 5, End::Status(504)),
        ];
        let summary = Summary::new(Arrival::Open { rate: 3.0 }, Some(1000 * MS), &answers);
        assert_eq!((summary.requests, summary.lost, summary.refused()), (6, 1, 2));
        assert_eq!(summary.seconds, 2.0);
        assert_eq!((summary.pictures_per_second, summary.useful_per_second), (1.0, 0.5));
        assert_eq!(summary.refusal_ms.unwrap().p99, 3.0);
        assert_eq!(summary.lost_because, ["closed"]);
    }

    #[test]
    fn nothing_sent_is_nothing_measured() {
        let summary = Summary::new(Arrival::Closed { clients: 1 }, None, &[]);
        assert_eq!((summary.requests, summary.pictures_per_second), (0, 0.0));
        assert!(summary.picture_ms.is_none());
    }
}
