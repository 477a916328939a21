//! Convs in all three directions. Weights are (out, in, k, k) outside and (out, k, k, in) for who computes them.

use candle_core::{DType, Result, Tensor};

use super::{
    calls::expect,
    convolution::{ConvDirection, Convolution},
    operators::TrainingOperators,
};

impl TrainingOperators {
    /// The conv of `x` with a weight (out, in, k, k).
    ///
    /// # Errors
    /// When shapes do not agree, or the device has no such conv.
    pub fn conv(&self, conv: &Convolution, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        conv.check()?;
        expect(x, DType::F32, &conv.input)?;
        let weight = channels_last(conv, weight)?;
        self.backend.convolve(conv, ConvDirection::Forward, [x, &weight])
    }

    /// The gradient of the input.
    ///
    /// # Errors
    /// As [`conv`](Self::conv).
    pub fn conv_input_gradient(&self, conv: &Convolution, dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
        conv.check()?;
        expect(dy, DType::F32, &conv.output_shape())?;
        let weight = channels_last(conv, weight)?;
        self.backend.convolve(conv, ConvDirection::InputGradient, [dy, &weight])
    }

    /// The gradient of the weight, (out, in, k, k).
    ///
    /// # Errors
    /// As [`conv`](Self::conv).
    pub fn conv_weight_gradient(&self, conv: &Convolution, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        conv.check()?;
        expect(x, DType::F32, &conv.input)?;
        expect(dy, DType::F32, &conv.output_shape())?;
        let gradient = self.backend.convolve(conv, ConvDirection::WeightGradient, [x, dy])?;
        gradient.permute((0, 3, 1, 2))?.contiguous()
    }
}

fn channels_last(conv: &Convolution, weight: &Tensor) -> Result<Tensor> {
    expect(weight, DType::F32, &[conv.output, conv.input[3], conv.kernel, conv.kernel])?;
    weight.permute((0, 2, 3, 1))?.contiguous().map(|weight| weight.detach())
}
