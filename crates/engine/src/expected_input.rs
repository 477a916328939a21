//! What a network takes besides its weights, checked once for every engine.

use std::sync::Arc;

use spadework_model::{Architecture, Grid};

use crate::{EngineError, Input, plan::PlanShape};

/// What inputs of one model look like.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedInput {
    plan: Arc<PlanShape>,
    z_dim: Option<usize>,
    noise_planes: Vec<Grid>,
}

impl ExpectedInput {
    /// Of the model with this architecture.
    pub(crate) fn of(architecture: &Architecture) -> Self {
        Self {
            plan: Arc::new(PlanShape::of(architecture)),
            z_dim: architecture.z_dim,
            noise_planes: architecture.noise_planes(),
        }
    }

    /// The noise planes, one for each residual block, of a model that has any.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn noise_planes(&self) -> &[Grid] {
        &self.noise_planes
    }

    /// Says what an input lacks or has too much.
    ///
    /// # Errors
    /// When it is not one of this model's.
    pub(crate) fn check(&self, input: &Input) -> Result<(), EngineError> {
        let refuse = |reason: String| Err(EngineError::Input(reason));
        if input.plan.shape != self.plan {
            return refuse("the mask was planned for another model".to_owned());
        }
        let (given, taken) = (input.noise.len(), self.noise_planes.len());
        if given != taken {
            return refuse(format!("{given} noise planes were given, the model takes {taken}"));
        }
        for (plane, Grid { height, width }) in input.noise.iter().zip(&self.noise_planes) {
            if plane.len() != height * width {
                return refuse(format!("a noise plane has {} numbers, not {height}×{width}", plane.len()));
            }
        }
        match (self.z_dim, &input.z) {
            (Some(z_dim), Some(z)) if z.len() != z_dim => {
                refuse(format!("the latent has {} numbers, the model takes {z_dim}", z.len()))
            }
            (Some(_), None) => refuse("this model takes a latent `z`; none was given".to_owned()),
            (None, Some(_)) => refuse("this model has no latent; `z` was given".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{input, small};

    #[test]
    fn an_input_of_another_model_is_refused_with_what_is_wrong() {
        let with_latent = Architecture { z_dim: Some(11), ..small() };
        let expected = ExpectedInput::of(&with_latent);
        let good = input(&with_latent, 1);
        expected.check(&good).unwrap();
        let refused = |input: &Input| expected.check(input).unwrap_err().to_string();

        // Of the same sizes, with more labels: its codes would be read beyond the weights.
        let other = Architecture { label_nc: 8, ..with_latent.clone() };
        assert_eq!(refused(&input(&other, 1)), "the mask was planned for another model");
        assert_eq!(refused(&input(&small(), 1)), "the mask was planned for another model");
        assert!(refused(&Input { z: None, ..good.clone() }).contains("none was given"));
        assert!(refused(&Input { z: Some(vec![0.0; 3]), ..good.clone() }).contains("3 numbers"));
        assert!(refused(&Input { noise: vec![vec![0.0]], ..good }).contains("1 noise planes"));

        let (expected, good) = (ExpectedInput::of(&small()), input(&small(), 1));
        let latent = Input { z: Some(vec![0.0]), ..good };
        assert!(expected.check(&latent).unwrap_err().to_string().contains("no latent"));
    }
}
