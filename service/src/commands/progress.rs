//! How far long work is: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Fits terminals of 30 columns; the bar takes what the numbers leave.
const TEMPLATE: &str = "{wide_bar} {pos}/{len} {eta}";

/// Between two plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// Counts to a known number.
pub struct Progress {
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
    started: Instant,
    said: Instant,
}

impl Progress {
    /// From 0 to `total`.
    pub fn new(total: usize) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE);
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(total as u64));
        let bar = bar.zip(style.ok()).map(|(bar, style)| bar.with_style(style));
        let now = Instant::now();
        Self { bar, done: 0, total, started: now, said: now }
    }

    /// `count` more are done.
    pub fn add(&mut self, count: usize) {
        self.done += count;
        match &self.bar {
            Some(bar) => bar.inc(count as u64),
            None if self.said.elapsed() >= EVERY => {
                self.said = Instant::now();
                let rate = self.done as f64 / self.started.elapsed().as_secs_f64();
                eprintln!("{} of {} pictures, {rate:.1} a second", self.done, self.total);
            }
            None => {}
        }
    }

    /// A line of its own, above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
