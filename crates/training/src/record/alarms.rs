//! What looks wrong in a run that still goes on. Pure decisions; each alarm is raised once until it is over.

use spadework_metrics::TrainingAlarm;

use crate::run::StepReport;

/// Steps after which the means below mean something.
const SETTLED: u64 = 200;
/// How much one step moves a mean.
const SHARE: f64 = 0.02;
/// A hinge loss whose sum over real and fake is below this leaves the generator next to nothing to learn from.
const WON: f64 = 0.05;
/// Above this the discriminator is no longer winning.
const RECOVERED: f64 = 0.2;
/// Two images of one mask that differ by less than this, as a mean over bytes, look the same.
const ALIKE: f64 = 0.5;

/// Watches over the steps of a run.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    steps: u64,
    discriminator_loss: f64,
    winning: bool,
    alike: bool,
}

/// What one of the alarms says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alarm {
    /// The discriminator tells real from fake without fail.
    DiscriminatorWins {
        /// The mean of its loss.
        loss: f64,
    },
    /// Latents hardly change the image.
    DiversityCollapsed {
        /// Mean difference of two images of one mask, in levels of a byte.
        difference: f64,
    },
}

impl Alarm {
    /// Its name in metrics.
    pub fn label(&self) -> TrainingAlarm {
        match self {
            Self::DiscriminatorWins { .. } => TrainingAlarm::DiscriminatorWins,
            Self::DiversityCollapsed { .. } => TrainingAlarm::DiversityCollapsed,
        }
    }
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DiscriminatorWins { loss } => write!(
                f,
                "the discriminator wins outright (its loss is {loss:.3}): the generator learns from feature matching \
                 alone; lower --lr, give it fewer channels (--ndf), or more data"
            ),
            Self::DiversityCollapsed { difference } => write!(
                f,
                "latents hardly change the image any more (two of one mask differ by {difference:.2} of 255 levels): \
                 lower --lambda-kld, or --lambda-feat"
            ),
        }
    }
}

impl Alarms {
    /// Looks at what a step reports.
    pub fn step(&mut self, report: &StepReport) -> Option<Alarm> {
        let loss = f64::from(report.get("D_real")? + report.get("D_Fake")?);
        self.steps += 1;
        let share = SHARE.max(1.0 / self.steps as f64);
        self.discriminator_loss += share * (loss - self.discriminator_loss);
        if self.steps < SETTLED {
            return None;
        }
        // Below 0 are only Wasserstein losses, which have no least value to be near to.
        let raised = !self.winning && (0.0..WON).contains(&self.discriminator_loss);
        self.winning = (self.winning || raised) && self.discriminator_loss < RECOVERED;
        raised.then_some(Alarm::DiscriminatorWins { loss: self.discriminator_loss })
    }

    /// Looks at the mean difference between two images of one mask.
    pub fn diversity(&mut self, difference: f64) -> Option<Alarm> {
        let raised = !self.alike && difference < ALIKE;
        self.alike = difference < ALIKE;
        raised.then_some(Alarm::DiversityCollapsed { difference })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(loss: f32) -> StepReport {
        StepReport::from([("D_real".to_owned(), loss), ("D_Fake".to_owned(), loss)])
    }

    fn alarms_in(alarms: &mut Alarms, loss: f32, steps: usize) -> usize {
        (0..steps).filter_map(|_| alarms.step(&report(loss))).count()
    }

    #[test]
    fn a_discriminator_that_wins_is_told_once_until_it_loses_again() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms_in(&mut alarms, 1.0, 300), 0);
        assert_eq!(alarms_in(&mut alarms, 0.0, 1000), 1);
        assert_eq!(alarms_in(&mut alarms, 1.0, 300), 0);
        assert_eq!(alarms_in(&mut alarms, 0.0, 1000), 1);
    }

    #[test]
    fn the_first_steps_raise_no_alarm() {
        assert_eq!(alarms_in(&mut Alarms::default(), 0.0, 199), 0);
    }

    #[test]
    fn images_that_look_alike_are_told_once() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.diversity(12.0), None);
        assert_eq!(alarms.diversity(0.2), Some(Alarm::DiversityCollapsed { difference: 0.2 }));
        assert_eq!(alarms.diversity(0.1), None);
    }
}
