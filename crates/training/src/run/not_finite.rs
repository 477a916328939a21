//! Numbers that are none: found before they reach a weight.

use candle_core::Result as TensorResult;

use super::learning::{Report, StepError};
use crate::step::Gradients;

/// A loss or gradient that is infinite or not a number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not finite; look for what is odd in the samples of this step, or train at a lower --lr")]
pub struct NotFinite {
    /// Which.
    pub what: String,
}

/// The norm of a network's gradients.
///
/// # Errors
/// When a loss or a gradient is not finite; the first one by name is told.
pub(super) fn check(network: &str, gradients: &Gradients, losses: &Report) -> Result<f32, StepError> {
    if let Some((name, value)) = losses.iter().find(|(_, value)| !value.is_finite()) {
        return Err(NotFinite { what: format!("the loss `{name}` is {value}: it") }.into());
    }
    let mut squares = 0.0;
    for (name, gradient) in gradients {
        let square = sum_of_squares(gradient)?;
        if !square.is_finite() {
            return Err(NotFinite { what: format!("the gradient of the {network}'s `{name}`") }.into());
        }
        squares += square;
    }
    Ok(squares.sqrt() as f32)
}

fn sum_of_squares(gradient: &candle_core::Tensor) -> TensorResult<f64> {
    Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?))
}
