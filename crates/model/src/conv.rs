//! The two linear layers every network here is made of.

use candle_core::{Result, Tensor};

use crate::parameters::Prefixed;

/// A square 2-d convolution.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,       // (out, in, k, k)
    bias: Option<Tensor>, // (1, out, 1, 1)
    padding: usize,
    stride: usize,
}

impl Conv2d {
    /// A stride-1 conv whose output is as large as its input ("same" zero padding, odd kernel), with bias.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn same(parameters: &Prefixed<'_>, input: usize, output: usize, kernel: usize) -> Result<Self> {
        Self::new(parameters, [output, input, kernel, kernel], kernel / 2, 1, true)
    }

    /// A conv of weight shape `[out, in, k, k]` read from `weight` and, where `bias` says so, `bias`.
    pub fn new(
        parameters: &Prefixed<'_>,
        shape: [usize; 4],
        padding: usize,
        stride: usize,
        bias: bool,
    ) -> Result<Self> {
        let bias = if bias {
            Some(parameters.get("bias", &[shape[0]])?.reshape((1, shape[0], 1, 1))?)
        } else {
            None
        };
        Ok(Self { weight: parameters.get("weight", &shape)?, bias, padding, stride })
    }

    /// (N, in, H, W) → (N, out, H', W').
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.conv2d(&self.weight, self.padding, self.stride, 1, 1)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// A fully connected layer.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor, // (out, in)
    bias: Tensor,   // (out)
}

impl Linear {
    /// Reads `weight` (out, in) and `bias` (out).
    ///
    /// # Errors
    /// When a tensor is missing or misshapen.
    pub fn new(parameters: &Prefixed<'_>, input: usize, output: usize) -> Result<Self> {
        Ok(Self {
            weight: parameters.get("weight", &[output, input])?,
            bias: parameters.get("bias", &[output])?,
        })
    }

    /// (N, in) → (N, out).
    ///
    /// # Errors
    /// When shapes or types do not agree.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// Leaky ReLU with the slope 0.2 that all the paper's networks use.
pub(crate) fn leaky_relu(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::leaky_relu(x, 0.2)
}
