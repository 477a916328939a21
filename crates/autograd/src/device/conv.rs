//! The convolution in all three directions, bias and ReLU with it.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use spadework_kernels::device::training::{Convolution, TrainingOperators};

use super::super::{Conv, graph::node};

pub(crate) fn conv2d(
    operators: &Arc<TrainingOperators>,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: Conv,
) -> Result<Tensor> {
    let (&[n, h, w, c], &[output, _, kernel, _]) = (x.dims(), weight.dims()) else {
        bail!("a conv takes a map (N, H, W, in) and a weight (out, in, k, k), not {x:?} and {weight:?}")
    };
    let Conv { padding, stride, slope } = conv;
    let sizes = Convolution { input: [n, h, w, c], output, kernel, padding, stride };
    let conv = DeviceConv { operators: Arc::clone(operators), sizes, slope: slope as f32 };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let y = operators.conv(&conv.sizes, &x, &weight)?;
    if bias.is_some() || conv.slope != 1.0 {
        operators.activate(&y, bias, conv.slope)?;
    }
    match bias {
        None => node(&y, [&x, &weight], move |[x, weight], y, dy| {
            let [dx, dw, _] = conv.gradients([x, weight], None, y, dy)?;
            Ok([dx, dw])
        }),
        Some(bias) => node(&y, [&x, &weight, bias], move |[x, weight, bias], y, dy| {
            conv.gradients([x, weight], Some(bias), y, dy)
        }),
    }
}

struct DeviceConv {
    operators: Arc<TrainingOperators>,
    sizes: Convolution,
    slope: f32,
}

impl DeviceConv {
    /// Gradients of input, weight and bias, each where it is asked for.
    fn gradients(
        &self,
        [x, weight]: [&Tensor; 2],
        bias: Option<&Tensor>,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let Self { operators, sizes, slope } = self;
        let dy = match *slope {
            1.0 => dy.clone(),
            slope => operators.leaky_gradient(y, dy, slope)?,
        };
        let dx = x.track_op().then(|| operators.conv_input_gradient(sizes, &dy, weight));
        let dw = weight.track_op().then(|| operators.conv_weight_gradient(sizes, x, &dy));
        let db = bias.filter(|bias| bias.track_op()).map(|_| operators.column_sums(&dy, None));
        Ok([dx.transpose()?, dw.transpose()?, db.transpose()?])
    }
}
