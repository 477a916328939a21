//! Where a request's time went.

use std::time::Duration;

use spadework_batching::Completed;
use spadework_metrics::Stage;

use crate::{http::app::App, synthesis::Generated};

/// Where a request's time went, and how large its batch was.
#[derive(Clone, Copy, Default)]
pub struct Timing {
    pub decode: Duration,
    pub plan: Duration,
    pub queue: Duration,
    pub generate: Duration,
    pub encode: Duration,
    pub batch_size: usize,
}

impl Timing {
    /// Of several pictures the slowest counts.
    pub fn new(decode: Duration, plan: Duration, done: &[Completed<Generated>]) -> Self {
        let slowest =
            |time: fn(&Completed<Generated>) -> Duration| done.iter().map(time).max().unwrap_or_default();
        Self {
            decode,
            plan,
            queue: slowest(|done| done.queued),
            generate: slowest(|done| done.ran),
            encode: Duration::ZERO,
            batch_size: done.iter().map(|done| done.batch_size).max().unwrap_or_default(),
        }
    }

    fn stages(&self) -> [(Stage, Duration); 5] {
        [
            (Stage::Decode, self.decode),
            (Stage::Plan, self.plan),
            (Stage::Queue, self.queue),
            (Stage::Generate, self.generate),
            (Stage::Encode, self.encode),
        ]
    }

    pub fn record(&self, app: &App, model: &str) {
        self.stages().into_iter().for_each(|(stage, took)| app.metrics.stage(stage, model, took));
    }

    /// As `Server-Timing` has it (W3C), in milliseconds.
    pub fn header(&self) -> String {
        let entry = |(stage, took): (Stage, Duration)| {
            format!("{};dur={:.3}", stage.as_str(), took.as_secs_f64() * 1e3)
        };
        self.stages().map(entry).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_is_in_milliseconds() {
        let timing = Timing { decode: Duration::from_micros(1500), ..Timing::default() };
        assert!(timing.header().starts_with("decode;dur=1.500, plan;dur=0.000, queue;dur=0.000"));
    }
}
