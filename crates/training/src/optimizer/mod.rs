//! How gradients become weights: Adam with a rate of its own for each network, the learning rate's course, and the
//! moving average of the weights. No clock, no random numbers.

mod adam;
mod elementwise;
mod moving_average;
mod schedule;

pub use adam::{Adam, Betas};
pub use moving_average::{MovingAverage, decay_at};
pub use schedule::{Rates, Schedule};
