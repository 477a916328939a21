//! What the operations are made of on one device, and the simplest of them.

use std::fmt;

use candle_core::{DType, Device, Result, Tensor};

use super::{
    calls::{call, expect, expect_f32, memory, number},
    convolution::{ConvDirection, Convolution},
};
use crate::device::call::{
    Argument::{Float, Memory, Size},
    Call,
};

/// What differs between a device and its emulation.
pub(crate) trait Backend: Send + Sync {
    /// Where tensors lie.
    fn device(&self) -> &Device;

    /// What products and convs multiply.
    fn multiplied(&self) -> DType;

    /// A tensor that is written whole before it is read.
    fn empty(&self, shape: &[usize], dtype: DType) -> Result<Tensor>;

    /// Gives a call of one of the kernels to the device. It writes the last of its tensors.
    fn launch(&self, call: &Call<'_>) -> Result<()>;

    /// `a` · `b` in f32, of matrices in f32, each transposed where `transposed` says so. In bf16, they are rounded first.
    fn product(&self, a: &Tensor, b: &Tensor, transposed: [bool; 2]) -> Result<Tensor>;

    /// What `direction` computes from its two operands, likewise. Weights are (out, k, k, in).
    fn convolve(
        &self,
        conv: &Convolution,
        direction: ConvDirection,
        operands: [&Tensor; 2],
    ) -> Result<Tensor>;
}

/// The operations on one device.
pub struct TrainingOperators {
    pub(super) backend: Box<dyn Backend>,
}

impl fmt::Debug for TrainingOperators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingOperators").field("device", self.device()).finish_non_exhaustive()
    }
}

impl TrainingOperators {
    #[cfg(any(test, feature = "cuda", feature = "emulated"))]
    pub(crate) fn new(backend: impl Backend + 'static) -> Self {
        Self { backend: Box::new(backend) }
    }

    /// Where tensors lie.
    pub fn device(&self) -> &Device {
        self.backend.device()
    }

    /// What products and convs multiply: f32, or bf16 with sums in f32.
    pub fn multiplied(&self) -> DType {
        self.backend.multiplied()
    }

    pub(super) fn empty(&self, shape: &[usize]) -> Result<Tensor> {
        self.backend.empty(shape, DType::F32)
    }

    /// Runs a kernel that writes a tensor of `shape`, behind `arguments`.
    pub(super) fn run<'a>(
        &self,
        name: &'static str,
        threads: usize,
        mut arguments: Vec<crate::device::call::Argument<'a>>,
        out: &'a Tensor,
    ) -> Result<()> {
        arguments.push(Memory(out));
        self.backend.launch(&call(name, threads, arguments)?)
    }

    /// `y` (…, C) plus `bias` (C) where there is one, through a ReLU of slope `slope` below zero, in place.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn activate(&self, y: &Tensor, bias: Option<&Tensor>, slope: f32) -> Result<()> {
        expect_f32(y)?;
        let channels = y.dims().last().copied().unwrap_or(1);
        if let Some(bias) = bias {
            expect(bias, DType::F32, &[channels])?;
        }
        let arguments =
            vec![number(y.elem_count() / channels.max(1))?, number(channels)?, Float(slope), memory(bias)];
        self.run("activate", y.elem_count(), arguments, y)
    }

    /// The leaky ReLU of `x`.
    ///
    /// # Errors
    /// When `x` is no f32 in one piece.
    pub fn leaky_relu(&self, x: &Tensor, slope: f32) -> Result<Tensor> {
        let y = x.copy()?.detach();
        self.activate(&y, None, slope)?;
        Ok(y)
    }

    /// The gradient before a leaky ReLU, from its output and the gradient behind it.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn leaky_gradient(&self, y: &Tensor, dy: &Tensor, slope: f32) -> Result<Tensor> {
        expect_f32(y)?;
        expect(dy, DType::F32, y.dims())?;
        let (out, numbers) = (self.empty(y.dims())?, y.elem_count());
        self.run(
            "leaky_gradient",
            numbers,
            vec![Size(numbers as u64), Float(slope), Memory(y), Memory(dy)],
            &out,
        )?;
        Ok(out)
    }

    /// `x` (N, H, W, C) plus `plane` (N, 1, H, W) by `weight` (C).
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn add_noise(&self, x: &Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        expect_f32(x)?;
        expect(plane, DType::F32, &[n, 1, h, w])?;
        expect(weight, DType::F32, &[c])?;
        let out = self.empty(x.dims())?;
        let arguments = vec![number(n * h * w)?, number(c)?, Memory(x), Memory(plane), Memory(weight)];
        self.run("add_noise", x.elem_count(), arguments, &out)?;
        Ok(out)
    }
}
