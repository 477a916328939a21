//! How far a number is from what it should be.

use candle_core::{DType, Device, Result, Tensor};

/// What is smaller than this share of its scale is nothing but rounding.
const VANISHING: f64 = 1e-4;

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviationKind {
    /// A loss.
    Loss,
    /// A parameter's gradient.
    Gradient,
    /// A buffer after the step.
    Buffer,
    /// The images that the generator made.
    Image,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// What was compared.
    pub kind: DeviationKind,
    /// Its name in the reference.
    pub name: String,
    /// ‖ours − theirs‖ / ‖theirs‖, or relative to the scale where theirs vanishes beside it.
    pub error: f64,
    /// Whether theirs is nothing but rounding.
    pub vanishing: bool,
}

impl DeviationKind {
    /// The largest error that passes.
    pub fn bound(self) -> f64 {
        match self {
            Self::Loss => 1e-4,
            Self::Gradient => 1e-3,
            Self::Buffer => 1e-4,
            Self::Image => 1e-4,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Gradient => "gradient",
            Self::Buffer => "buffer",
            Self::Image => "picture",
        }
    }
}

impl Deviation {
    /// Compares tensor with tensor. Where `theirs` vanishes beside `scale`, the error is relative to `scale`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn between(
        kind: DeviationKind,
        name: &str,
        ours: &Tensor,
        theirs: &Tensor,
        scale: f64,
    ) -> Result<Self> {
        let ours = ours.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let theirs = theirs.to_dtype(DType::F64)?;
        let theirs = if ours.elem_count() == 1 { theirs.reshape(ours.shape())? } else { theirs };
        let (difference, size) = (norm(&(ours - &theirs)?)?, norm(&theirs)?);
        let vanishing = size < VANISHING * scale;
        let error = difference / if vanishing { scale } else { size };
        Ok(Self {
            kind,
            name: name.to_owned(),
            error: if difference == 0.0 { 0.0 } else { error },
            vanishing,
        })
    }

    /// Whether it is within its bound. NaN is not.
    pub fn passes(&self) -> bool {
        self.error <= self.kind.bound()
    }

    /// Error as a share of the bound: what the worst is told by.
    pub fn severity(&self) -> f64 {
        if self.error.is_nan() { f64::INFINITY } else { self.error / self.kind.bound() }
    }
}

/// The Euclidean norm of all elements.
pub(crate) fn norm(tensor: &Tensor) -> Result<f64> {
    tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt()?.to_scalar()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_relative_and_nan_does_not_pass() -> Result<()> {
        let tensor = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
        let compare =
            |a, b, scale| Deviation::between(DeviationKind::Loss, "x", &tensor(a)?, &tensor(b)?, scale);
        assert!((compare([3.0, 4.5], [3.0, 4.0], 0.0)?.error - 0.1).abs() < 1e-12);
        assert!(compare([1e-9, 0.0], [0.0, 2e-9], 1.0)?.passes());
        assert!(!compare([1e-9, 0.0], [0.0, 2e-9], 1e-6)?.passes());
        let broken = compare([f32::NAN, 0.0], [1.0, 0.0], 0.0)?;
        assert!(!broken.passes() && broken.severity() == f64::INFINITY);
        Ok(())
    }
}
