//! A processor that stands in for a device: the kernels compiled as C, products by candle, convs by plain loops.

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, bail};

use super::{Backend, Convolution, Direction, Operators, SOURCE};
use crate::{
    as_c::Program,
    call::{Argument, Call},
};

impl Operators {
    /// The operations as a device would do them, on this processor and very slowly: for tests. Products are of numbers
    /// rounded to bf16 where `rounded` says so.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn on_cpu(rounded: bool) -> Self {
        Self::new(Twin { program: Program::compile(SOURCE), rounded })
    }
}

struct Twin {
    program: Program,
    rounded: bool,
}

impl Twin {
    fn round(&self, x: &Tensor) -> Result<Tensor> {
        if self.rounded { x.to_dtype(DType::BF16)?.to_dtype(DType::F32) } else { Ok(x.clone()) }
    }
}

impl Backend for Twin {
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
        let Some(Argument::Memory(out)) = call.arguments.last() else { bail!("a call writes a tensor") };
        let bytes = self.program.run(call)?;
        out.inplace_op1(&Write { bytes })
    }

    fn product(&self, a: &Tensor, b: &Tensor, [a_transposed, b_transposed]: [bool; 2]) -> Result<Tensor> {
        let turned = |x: &Tensor, turn| {
            let x = self.round(x)?.detach();
            if turn { x.t() } else { Ok(x) }
        };
        turned(a, a_transposed)?.matmul(&turned(b, b_transposed)?)
    }

    fn convolve(&self, conv: &Convolution, direction: Direction<'_>) -> Result<Tensor> {
        let numbers = |x: &Tensor| self.round(x)?.flatten_all()?.to_vec1::<f32>();
        let zeros = |shape: [usize; 4]| vec![0f32; shape.iter().product()];
        let (out, shape) = match direction {
            Direction::Forward { x, weight } => {
                let (x, weight, mut y) = (numbers(x)?, numbers(weight)?, zeros(conv.output_shape()));
                each_product(conv, |at_x, at_w, at_y| y[at_y] += x[at_x] * weight[at_w]);
                (y, conv.output_shape())
            }
            Direction::Input { dy, weight } => {
                let (dy, weight, mut dx) = (numbers(dy)?, numbers(weight)?, zeros(conv.input));
                each_product(conv, |at_x, at_w, at_y| dx[at_x] += dy[at_y] * weight[at_w]);
                (dx, conv.input)
            }
            Direction::Weight { x, dy } => {
                let (x, dy, mut dw) = (numbers(x)?, numbers(dy)?, zeros(conv.weight_shape()));
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
    let [pictures, out_height, out_width, output] = conv.output_shape();
    let Convolution { kernel, padding, stride, .. } = *conv;
    for n in 0..pictures {
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

/// Puts bytes in the place of a tensor's numbers.
struct Write {
    bytes: Vec<u8>,
}

impl InplaceOp1 for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the tensor is not contiguous") };
        match storage {
            CpuStorage::F32(numbers) => {
                bytemuck::cast_slice_mut(&mut numbers[start..end]).copy_from_slice(&self.bytes);
            }
            CpuStorage::F64(numbers) => {
                bytemuck::cast_slice_mut(&mut numbers[start..end]).copy_from_slice(&self.bytes);
            }
            _ => bail!("a kernel writes f32 or f64"),
        }
        Ok(())
    }
}
