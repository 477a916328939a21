//! The learning rate's course: a pure function of how much has been seen.

use serde::{Deserialize, Serialize};

/// A factor on the base learning rate at each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// As published: constant for `niter` epochs, then linear to zero over `niter_decay`, changing at the end of an
    /// epoch only.
    Epochs {
        /// Epochs at the full rate.
        niter: u64,
        /// Epochs of decay.
        niter_decay: u64,
        /// Steps of an epoch.
        steps_per_epoch: u64,
    },
    /// Linear from zero over `warm_up` steps, constant, then linear to `floor` from `decay_from` of all steps on.
    Steps {
        /// All steps of the run.
        total: u64,
        /// Steps until the full rate.
        warm_up: u64,
        /// The share of all steps after which the rate falls.
        decay_from: f64,
        /// The least factor of the decay.
        floor: f64,
    },
}

/// The learning rates of the two networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Generator and encoder.
    pub generator: f64,
    /// Discriminator.
    pub discriminator: f64,
}

impl Rates {
    /// Both at `lr`, or with two time scales (TTUR, Heusel et al. 2017) as published: half and twice of it.
    pub fn new(lr: f64, two_time_scales: bool) -> Self {
        if two_time_scales {
            Self { generator: lr / 2.0, discriminator: lr * 2.0 }
        } else {
            Self { generator: lr, discriminator: lr }
        }
    }

    /// Both times `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self { generator: self.generator * factor, discriminator: self.discriminator * factor }
    }
}

impl Schedule {
    /// All steps of the run.
    pub fn total_steps(&self) -> u64 {
        match *self {
            Self::Epochs { niter, niter_decay, steps_per_epoch } => (niter + niter_decay) * steps_per_epoch,
            Self::Steps { total, .. } => total,
        }
    }

    /// The factor for step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        match *self {
            Self::Epochs { niter, niter_decay, steps_per_epoch } => {
                let finished = step / steps_per_epoch.max(1);
                let fallen = finished.saturating_sub(niter) as f64;
                (1.0 - fallen / niter_decay.max(1) as f64).max(0.0)
            }
            Self::Steps { total, warm_up, decay_from, floor } => {
                let rise = if step < warm_up { (step + 1) as f64 / warm_up as f64 } else { 1.0 };
                let share = step as f64 / total.max(1) as f64;
                let fall =
                    if share < decay_from { 1.0 } else { 1.0 - (share - decay_from) / (1.0 - decay_from) };
                rise * fall.max(floor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_rate_falls_at_the_end_of_an_epoch() {
        // Epochs 1 and 2 at the full rate; the published loop lowers it by lr / niter_decay after epochs 3, 4, ...
        let schedule = Schedule::Epochs { niter: 2, niter_decay: 4, steps_per_epoch: 10 };
        let factors: Vec<f64> = (0..6).map(|epoch| schedule.factor(epoch * 10 + 5)).collect();
        assert_eq!(factors, [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(schedule.factor(29), 1.0);
        assert_eq!(schedule.factor(30), 0.75);
        assert_eq!(schedule.total_steps(), 60);
    }

    #[test]
    fn a_rate_rises_stays_and_falls() {
        let schedule = Schedule::Steps { total: 100, warm_up: 10, decay_from: 0.6, floor: 0.05 };
        let at = |step| (schedule.factor(step) * 1e6).round() / 1e6;
        assert_eq!([at(0), at(4), at(9), at(10), at(59)], [0.1, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!([at(80), at(90), at(99), at(1000)], [0.5, 0.25, 0.05, 0.05]);
    }

    #[test]
    fn two_time_scales_are_a_factor_of_four_apart() {
        assert_eq!(Rates::new(2e-4, true), Rates { generator: 1e-4, discriminator: 4e-4 });
        assert_eq!(Rates::new(2e-4, false).scaled(0.5), Rates { generator: 1e-4, discriminator: 1e-4 });
    }
}
