//! The convolution, in all three directions, as products of shifted rows: no column buffer.

mod forward;
mod geometry;
mod input_gradient;
mod weight_gradient;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use self::{
    forward::convolve,
    geometry::Geometry,
    input_gradient::input_gradient,
    weight_gradient::{column_sums, weight_gradient},
};
use super::{
    activation::leaky_gradient,
    element::Element,
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

pub(super) use self::{
    geometry::Geometry as ConvGeometry,
    weight_gradient::{column_sums as sum_columns, weight_gradient as outer_sums},
};

/// How a kernel moves over its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Zeros around the input.
    pub padding: usize,
    /// Cells from one window to the next.
    pub stride: usize,
    /// Slope below zero of the ReLU that follows; 1 is none.
    pub slope: f64,
}

impl Conv {
    /// A conv of an odd kernel whose output is as large as its input.
    pub fn same(kernel: usize) -> Self {
        Self { padding: kernel / 2, stride: 1, slope: 1.0 }
    }
}

/// (N, H, W, in) and a weight (out, in, k, k) to (N, H', W', out). No gradient is computed for what has none.
///
/// # Errors
/// When shapes do not agree, or a tensor is not in the memory of a CPU.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: Conv) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, conv),
        None => x.apply_op2(&weight, conv),
    }
}

impl Conv {
    fn run<T: Element>(
        self,
        (x, x_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(x_layout.dims(), weight_layout.dims(), self)?;
        let bias = bias.map(|(storage, layout)| slice::<T>(storage, layout)).transpose()?;
        let (x, weight) = (slice::<T>(x, x_layout)?, slice::<T>(weight, weight_layout)?);
        let out = convolve(&geometry, x, weight, bias, T::from_f64(self.slope));
        Ok(stored(out, geometry.output_shape()))
    }

    /// Gradients of input, weight and bias, each where it is asked for.
    fn gradients<T: Element>(
        self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let geometry = Geometry::new(x.dims(), weight.dims(), self)?;
        with_values::<T, _>(gradient, |dy| {
            let before;
            let dy = if self.slope != 1.0 {
                before = with_values::<T, _>(y, |y| Ok(leaky_gradient(y, dy, self.slope)))?;
                &before
            } else {
                dy
            };
            let dx = x.track_op().then(|| {
                with_values::<T, _>(weight, |weight| tensor(input_gradient(&geometry, dy, weight), x))
            });
            let dw = weight
                .track_op()
                .then(|| with_values::<T, _>(x, |x| tensor(weight_gradient(&geometry, x, dy), weight)));
            let db = bias
                .filter(|bias| bias.track_op())
                .map(|bias| tensor(column_sums(dy, geometry.output), bias));
            Ok([dx.transpose()?, dw.transpose()?, db.transpose()?])
        })
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), T => self.run::<T>((x, x_layout), (weight, weight_layout), None))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = by_dtype!(x.dtype(), T => self.gradients::<T>(x, weight, None, y, gradient))?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "conv2d-bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = Some((bias, bias_layout));
        by_dtype!(dtype(x), T => self.run::<T>((x, x_layout), (weight, weight_layout), bias))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] =
            by_dtype!(x.dtype(), T => self.gradients::<T>(x, weight, Some(bias), y, gradient))?;
        Ok((dx, dw, db))
    }
}
