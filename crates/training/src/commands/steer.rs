//! What `resume` may change of a run. Weights, averages and the optimisers' moments stay.

use clap::Args;

use super::numbers::{not_a_rate, not_a_weight};
use crate::{
    optimizer::{Rates, Schedule},
    outcome::Mistake,
    run::{Difference, RunConfig, differences},
};

/// What to change; it is kept in the run's `config.json`, with the step after which it was changed
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Changes")]
pub struct SteerArgs {
    /// Samples in all, for a run that counts samples: more extend it. The rate takes the course of the longer run from here on
    #[arg(long, value_name = "N")]
    samples: Option<u64>,
    /// Epochs at the full learning rate, for a run that counts epochs
    #[arg(long, value_name = "EPOCHS")]
    niter: Option<u64>,
    /// Epochs over which the rate then falls to zero
    #[arg(long, value_name = "EPOCHS")]
    niter_decay: Option<u64>,
    /// Learning rate; with two time scales they stay so far apart
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Weight of feature matching
    #[arg(long, value_name = "WEIGHT")]
    lambda_feat: Option<f64>,
    /// Weight of the perceptual loss, for a run that has one
    #[arg(long, value_name = "WEIGHT")]
    lambda_vgg: Option<f64>,
    /// Weight of the KL divergence
    #[arg(long, value_name = "WEIGHT")]
    lambda_kld: Option<f64>,
    /// Weight of the L1 distance after pooling
    #[arg(long, value_name = "WEIGHT")]
    lambda_l1: Option<f64>,
    /// What that weight has become at the end of the run
    #[arg(long, value_name = "WEIGHT")]
    lambda_l1_end: Option<f64>,
}

impl SteerArgs {
    /// Changes `config` of a run that has made `done` steps. Answers what is not as it was, a line each.
    ///
    /// # Errors
    /// With the first change that the run does not allow.
    pub(super) fn apply(&self, config: &mut RunConfig, done: u64) -> anyhow::Result<Vec<String>> {
        let before = config.clone();
        self.schedule(config, done)?;
        self.rates(config)?;
        self.weights(config)?;
        let told = |Difference { name, one, other }| format!("{name} {one} -> {other}");
        let mut changes: Vec<String> =
            differences(&before.optimization, &config.optimization).into_iter().map(told).collect();
        changes.extend(differences(&before.objective, &config.objective).into_iter().map(told));
        Ok(changes)
    }

    fn schedule(&self, config: &mut RunConfig, done: u64) -> anyhow::Result<()> {
        let batch = config.optimization.batch as u64;
        match &mut config.optimization.schedule {
            Schedule::Steps { total, .. } => {
                if self.niter.is_some() || self.niter_decay.is_some() {
                    return Err(Mistake::error("the run counts samples; change it with --samples"));
                }
                *total = self.samples.map_or(*total, |samples| samples / batch);
            }
            Schedule::Epochs { niter, niter_decay, .. } => {
                if self.samples.is_some() {
                    return Err(Mistake::error(
                        "the run counts epochs; change it with --niter and --niter-decay",
                    ));
                }
                *niter = self.niter.unwrap_or(*niter);
                *niter_decay = self.niter_decay.unwrap_or(*niter_decay);
            }
        }
        let asked = self.samples.or(self.niter).or(self.niter_decay).is_some();
        if asked && config.total_steps() < done {
            return Err(Mistake::error(format!(
                "the run has made {done} steps of {batch} samples already; give more than that"
            )));
        }
        Ok(())
    }

    fn rates(&self, config: &mut RunConfig) -> anyhow::Result<()> {
        let Some(lr) = self.lr else { return Ok(()) };
        if let Some(sentence) = not_a_rate(lr) {
            return Err(Mistake::error(sentence));
        }
        let rates = &mut config.optimization.rates;
        *rates = Rates::new(lr, rates.generator != rates.discriminator);
        Ok(())
    }

    fn weights(&self, config: &mut RunConfig) -> anyhow::Result<()> {
        for (flag, weight) in [
            ("--lambda-feat", self.lambda_feat),
            ("--lambda-vgg", self.lambda_vgg),
            ("--lambda-kld", self.lambda_kld),
            ("--lambda-l1", self.lambda_l1),
            ("--lambda-l1-end", self.lambda_l1_end),
        ] {
            if let Some(sentence) = weight.and_then(|weight| not_a_weight(flag, weight)) {
                return Err(Mistake::error(sentence));
            }
        }
        if self.lambda_vgg.is_some_and(|weight| weight > 0.0)
            && config.vgg.is_none()
            && config.perceptual.is_none()
        {
            return Err(Mistake::error(
                "--lambda-vgg: the run has no perceptual loss; a new one can have it",
            ));
        }
        let objective = &mut config.objective;
        objective.feature_matching = self.lambda_feat.unwrap_or(objective.feature_matching);
        objective.perceptual = self.lambda_vgg.unwrap_or(objective.perceptual);
        objective.kl = self.lambda_kld.unwrap_or(objective.kl);
        objective.low_resolution = self.lambda_l1.unwrap_or(objective.low_resolution);
        objective.low_resolution_end = self.lambda_l1_end.or(objective.low_resolution_end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::config;

    #[test]
    fn a_run_is_extended_and_what_changed_is_told() {
        let mut run = config(10);
        let batch = run.optimization.batch as u64;
        let steer = SteerArgs { samples: Some(20 * batch), lr: Some(1e-3), ..SteerArgs::default() };
        let changes = steer.apply(&mut run, 5).unwrap();
        assert_eq!(run.total_steps(), 20);
        assert!(changes.contains(&"total 10 -> 20".to_owned()), "{changes:?}");
        assert_eq!(SteerArgs::default().apply(&mut run, 5).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_a_run_does_not_allow_is_refused() {
        let refused = |steer: SteerArgs| steer.apply(&mut config(10), 8).unwrap_err().to_string();
        let batch = config(10).optimization.batch as u64;
        assert!(refused(SteerArgs { samples: Some(7 * batch), ..SteerArgs::default() }).contains("8 steps"));
        assert!(refused(SteerArgs { niter: Some(9), ..SteerArgs::default() }).contains("--samples"));
        assert!(refused(SteerArgs { lr: Some(-1.0), ..SteerArgs::default() }).contains("more than 0"));
        assert!(
            refused(SteerArgs { lambda_vgg: Some(1.0), ..SteerArgs::default() }).contains("no perceptual")
        );
    }
}
