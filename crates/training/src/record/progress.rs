//! How far a run is: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// Counts samples to a known number.
pub struct RunProgress {
    bar: Option<ProgressBar>,
    pace: Throughput,
    said: Option<Instant>,
}

impl RunProgress {
    /// Of `total` samples, `done` are done.
    pub fn new(done: u64, total: u64, now: Instant) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(total).with_position(done));
        let bar = bar.zip(style.ok()).map(|(bar, style)| bar.with_style(style));
        Self { bar, pace: Throughput { first: done, done, total, started: now }, said: None }
    }

    /// `count` more samples are done; `losses` is what there is to say about them.
    pub fn add(&mut self, count: u64, now: Instant, losses: impl FnOnce() -> String) {
        self.pace.done += count;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.pace.done);
                bar.set_message(format!("{}  {}", self.pace.describe(now), losses()));
            }
            None if self.said.is_none_or(|said| now.duration_since(said) >= EVERY) => {
                self.said = Some(now);
                let Throughput { done, total, .. } = self.pace;
                say(&format!("{done} of {total} samples, {}, {}", self.pace.describe(now), losses()));
            }
            None => {}
        }
    }

    /// Samples a second since this process began, once there is one.
    pub fn rate(&self, now: Instant) -> Option<f64> {
        self.pace.rate(now)
    }

    /// A line of its own, above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A run does not end because nobody reads what it says.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// How fast samples go by.
#[derive(Clone, Copy, Debug)]
struct Throughput {
    first: u64,
    done: u64,
    total: u64,
    started: Instant,
}

impl Throughput {
    fn rate(&self, now: Instant) -> Option<f64> {
        let seconds = now.duration_since(self.started).as_secs_f64();
        (self.done > self.first && seconds > 0.0).then(|| (self.done - self.first) as f64 / seconds)
    }

    fn describe(&self, now: Instant) -> String {
        let Some(rate) = self.rate(now) else { return String::new() };
        let left = Duration::from_secs((self.total.saturating_sub(self.done) as f64 / rate) as u64);
        format!("{rate:.1} images/s, {} left", humantime::format_duration(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_told_from_this_process_s_own_pace() {
        let started = Instant::now();
        let pace = Throughput { first: 1000, done: 1040, total: 1440, started };
        assert_eq!(pace.describe(started + Duration::from_secs(10)), "4.0 images/s, 1m 40s left");
    }

    #[test]
    fn nothing_is_promised_before_the_first_sample() {
        let started = Instant::now();
        let pace = Throughput { first: 5, done: 5, total: 10, started };
        assert_eq!(pace.describe(started + Duration::from_secs(3)), "");
    }
}
