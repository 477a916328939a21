//! A conv of a training step, and which of its tensors is computed.

use candle_core::{Result, bail};

/// The sizes of a conv of N H W C maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// The input (N, H, W, in).
    pub input: [usize; 4],
    /// Channels of the output.
    pub output: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Cells from one window to the next.
    pub stride: usize,
}

impl Convolution {
    /// The output's shape (N, H', W', out).
    pub fn output_shape(&self) -> [usize; 4] {
        let [images, height, width, _] = self.input;
        let size = |size: usize| (size + 2 * self.padding - self.kernel) / self.stride + 1;
        [images, size(height), size(width), self.output]
    }

    /// The weight's shape (out, k, k, in).
    pub(crate) fn weight_shape(&self) -> [usize; 4] {
        [self.output, self.kernel, self.kernel, self.input[3]]
    }

    pub(super) fn check(&self) -> Result<()> {
        let least = self.input[1].min(self.input[2]);
        let sizes = [self.output, self.kernel, self.padding, self.stride].into_iter().chain(self.input);
        let fits = sizes.into_iter().all(|size| i32::try_from(size).is_ok()); // as cuDNN counts
        if !fits
            || self.stride == 0
            || self.kernel == 0
            || self.padding > self.kernel
            || least + 2 * self.padding < self.kernel
        {
            bail!("there is no conv of {self:?}")
        }
        Ok(())
    }
}

/// Which of a conv's three tensors is computed, from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConvDirection {
    /// The output, from input and weight.
    Forward,
    /// The input's gradient, from the output's gradient and the weight.
    InputGradient,
    /// The weight's gradient, from the input and the output's gradient.
    WeightGradient,
}
