//! Means of what several steps report, for one line of metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Sums since the last line. They are f32 so that their text in a checkpoint is exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsWindow {
    steps: u32,
    sums: BTreeMap<String, f32>,
}

impl MetricsWindow {
    /// Adds what one step reports, by name.
    pub fn add<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, f32)>) {
        self.steps += 1;
        for (name, value) in values {
            *self.sums.entry(name.to_owned()).or_default() += value;
        }
    }

    /// The means, if there was a step, and a fresh start.
    pub fn take(&mut self) -> Option<Vec<(String, f32)>> {
        let Self { steps, sums } = std::mem::take(self);
        (steps > 0).then(|| sums.into_iter().map(|(name, sum)| (name, sum / steps as f32)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_steps_since_the_last_line() {
        let mut window = MetricsWindow::default();
        window.add([("GAN", 1.0), ("KLD", 4.0)]);
        window.add([("GAN", 3.0), ("KLD", 0.0)]);
        assert_eq!(window.take().unwrap(), [("GAN".to_owned(), 2.0), ("KLD".to_owned(), 2.0)]);
        assert_eq!(window.take(), None);
    }

    #[test]
    fn a_window_survives_its_text() {
        let mut window = MetricsWindow::default();
        window.add([("a", 0.1), ("b", 1.234_567_9e-30)]);
        window.add([("a", 0.2), ("b", 16_777_217.0)]);
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<MetricsWindow>(&text).unwrap(), window);
    }
}
