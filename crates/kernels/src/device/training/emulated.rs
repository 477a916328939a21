//! The operations of a training step without a device: the kernels compiled as C, products by candle, convs by plain loops.

use candle_core::{DType, Device, Result, Tensor};

use super::{Backend, ConvDirection, Convolution, SOURCE, TrainingOperators};
use crate::device::{
    call::{Call, Launch as _},
    emulated::Program,
};

impl TrainingOperators {
    /// The operations as a device would do them, on this processor and very slowly: for tests. Products are of numbers
    /// rounded to bf16 where `rounded` says so.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn emulated(rounded: bool) -> Self {
        Self::new(Emulated { program: Program::compile(SOURCE), rounded })
    }
}

struct Emulated {
    program: Program,
    rounded: bool,
}

impl Emulated {
    fn round(&self, x: &Tensor) -> Result<Tensor> {
        if self.rounded { x.to_dtype(DType::BF16)?.to_dtype(DType::F32) } else { Ok(x.clone()) }
    }
}

impl Backend for Emulated {
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn multiplied(&self) -> DType {
        if self.rounded { DType::BF16 } else { DType::F32 }
    }

    fn empty(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        // What is not written shows.
        Tensor::full(f32::NAN, shape, &Device::Cpu)?.to_dtype(dtype)
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        self.program.launch(call)
    }

    fn product(&self, a: &Tensor, b: &Tensor, [a_transposed, b_transposed]: [bool; 2]) -> Result<Tensor> {
        let turned = |x: &Tensor, turn| {
            let x = self.round(x)?.detach();
            if turn { x.t() } else { Ok(x) }
        };
        turned(a, a_transposed)?.matmul(&turned(b, b_transposed)?)
    }

    fn convolve(&self, conv: &Convolution, direction: ConvDirection, [a, b]: [&Tensor; 2]) -> Result<Tensor> {
        let numbers = |x: &Tensor| self.round(x)?.flatten_all()?.to_vec1::<f32>();
        let zeros = |shape: [usize; 4]| vec![0f32; shape.iter().product()];
        let (out, shape) = match direction {
            ConvDirection::Forward => {
                let (x, weight, mut y) = (numbers(a)?, numbers(b)?, zeros(conv.output_shape()));
                each_product(conv, |at_x, at_w, at_y| y[at_y] += x[at_x] * weight[at_w]);
                (y, conv.output_shape())
            }
            ConvDirection::InputGradient => {
                let (dy, weight, mut dx) = (numbers(a)?, numbers(b)?, zeros(conv.input));
                each_product(conv, |at_x, at_w, at_y| dx[at_x] += dy[at_y] * weight[at_w]);
                (dx, conv.input)
            }
            ConvDirection::WeightGradient => {
                let (x, dy, mut dw) = (numbers(a)?, numbers(b)?, zeros(conv.weight_shape()));
                each_product(conv, |at_x, at_w, at_y| dw[at_w] += x[at_x] * dy[at_y]);
                (dw, conv.weight_shape())
            }
        };
        self.round(&Tensor::from_vec(out, &shape, &Device::Cpu)?)
    }
}

/// Calls `add` with the places in input, weight and output of every product that a conv is a sum of.
fn each_product(conv: &Convolution, mut add: impl FnMut(usize, usize, usize)) {
    let [_, height, width, input] = conv.input;
    let [images, out_height, out_width, output] = conv.output_shape();
    let Convolution { kernel, padding, stride, .. } = *conv;
    for n in 0..images {
        for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
            for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                let inside = |at: usize, size: usize| at.checked_sub(padding).filter(|at| *at < size);
                let (Some(row), Some(column)) =
                    (inside(y * stride + ky, height), inside(x * stride + kx, width))
                else {
                    continue;
                };
                let at_x = ((n * height + row) * width + column) * input;
                let at_y = ((n * out_height + y) * out_width + x) * output;
                for out in 0..output {
                    let at_w = ((out * kernel + ky) * kernel + kx) * input;
                    (0..input).for_each(|channel| add(at_x + channel, at_w + channel, at_y + out));
                }
            }
        }
    }
}
