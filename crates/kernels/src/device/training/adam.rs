//! Weights on their way: Adam and the moving average, in place.

use candle_core::{DType, Result, Tensor};

use super::{
    calls::{expect, expect_f32},
    operators::TrainingOperators,
};
use crate::device::call::Argument::{Float, Memory, Size};

impl TrainingOperators {
    /// `m ← keep·m + take·g` and `v ← keep·v + take·g²` of moments (2, …), m's factors before v's.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn adam_moments(&self, gradient: &Tensor, moments: &Tensor, [m, v]: [[f32; 2]; 2]) -> Result<()> {
        expect_f32(gradient)?;
        expect(moments, DType::F32, &[&[2], gradient.dims()].concat())?;
        let numbers = gradient.elem_count();
        let [keep_m, take_m, keep_v, take_v] = [m[0], m[1], v[0], v[1]].map(Float);
        let arguments = vec![Size(numbers as u64), keep_m, take_m, keep_v, take_v, Memory(gradient)];
        self.run("adam_moments", numbers, arguments, moments)
    }

    /// `p ← p − step · m / (√v / correction + ε)`.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn adam_step(&self, moments: &Tensor, parameter: &Tensor, step: f32, correction: f32) -> Result<()> {
        expect_f32(parameter)?;
        expect(moments, DType::F32, &[&[2], parameter.dims()].concat())?;
        let numbers = parameter.elem_count();
        let arguments = vec![Size(numbers as u64), Float(step), Float(correction), Memory(moments)];
        self.run("adam_step", numbers, arguments, parameter)
    }

    /// `average ← average + take · (parameter − average)`.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn move_average(&self, parameter: &Tensor, average: &Tensor, take: f32) -> Result<()> {
        expect_f32(average)?;
        expect(parameter, DType::F32, average.dims())?;
        let numbers = average.elem_count();
        let arguments = vec![Size(numbers as u64), Float(take), Memory(parameter)];
        self.run("move_average", numbers, arguments, average)
    }
}
