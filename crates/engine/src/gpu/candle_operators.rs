//! The operators in candle's own: slow where kernels of our own could be fast, right on every device.

use std::time::Duration;

use candle_core::{DType, Device, Result, Tensor};

use super::{
    conv_weights::{ConvWeights, ToImage},
    lookup::Lookup,
    operators::{Operators, SLOPE},
};
use spadework_kernels::device::{Download, Event, generator::ModulateArgs};

/// Operators of candle on one device.
pub(crate) struct CandleOperators {
    pub(crate) device: Device,
}

impl Operators for CandleOperators {
    fn begin(&self, _after: &Event) -> Result<()> {
        Ok(())
    }

    fn blank(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        Tensor::zeros(shape, dtype, &self.device)
    }

    fn upload(&self, len: usize, write: &mut dyn FnMut(&mut [u32])) -> Result<Tensor> {
        let mut numbers = vec![0; len];
        write(&mut numbers);
        Tensor::from_vec(numbers, len, &self.device)
    }

    fn upload_real(&self, numbers: &[f32]) -> Result<Tensor> {
        Tensor::from_slice(numbers, numbers.len(), &self.device)
    }

    fn lookup(&self, rows: &Tensor, conv: &Lookup, rectify: bool) -> Result<Tensor> {
        let (patches, taps) = rows.dims2()?;
        let chosen = conv.weights.index_select(&rows.flatten_all()?, 0)?;
        let sums = chosen.reshape((patches, taps, ()))?.sum(1)?.broadcast_add(&conv.bias)?;
        if rectify { sums.relu()? } else { sums }.to_dtype(conv.dtype)
    }

    fn gather(&self, hidden: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let zeros = Tensor::zeros((1, hidden.dim(1)?), hidden.dtype(), hidden.device())?;
        let chosen = Tensor::cat(&[hidden, &zeros], 0)?.index_select(&taps.flatten_all()?, 0)?;
        chosen.reshape((taps.dim(0)?, ()))
    }

    fn product(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        // A processor has no bf16 product; it multiplies in f32 and rounds, as a GPU does.
        let product = if self.device.is_cpu() && a.dtype() == DType::BF16 {
            a.to_dtype(DType::F32)?.matmul(&b.to_dtype(DType::F32)?)?.to_dtype(DType::BF16)?
        } else {
            a.matmul(b)?
        };
        out.slice_set(&product, 0, 0)
    }

    fn modulate(&self, x: &Tensor, modulation: &ModulateArgs<'_>) -> Result<Tensor> {
        let ModulateArgs { ids, table, bias, normalise, activate } = *modulation;
        let (images, height, width) = ids.dims3()?;
        let channels = x.dim(3)?;
        let per_image = |index: usize| normalise.narrow(1, index, 1)?.unsqueeze(1); // (1 or N, 1, 1, C)
        let per_channel = |index: usize| bias.narrow(0, index, 1); // (1, C)
        let x = upsampled(&x.to_dtype(DType::F32)?, height, width)?;
        let normal = x.broadcast_mul(&per_image(0)?)?.broadcast_add(&per_image(1)?)?;
        let rows = table.index_select(&ids.flatten_all()?, 0)?.to_dtype(DType::F32)?;
        let rows = rows.reshape((images, height, width, 2 * channels))?;
        let gamma = rows.narrow(3, 0, channels)?.broadcast_add(&per_channel(0)?)?;
        let beta = rows.narrow(3, channels, channels)?.broadcast_add(&per_channel(1)?)?;
        let y = normal.mul(&gamma)?.add(&beta)?;
        if activate { leaky_relu(&y)? } else { y }.to_dtype(table.dtype())
    }

    fn conv(&self, x: &Tensor, conv: &ConvWeights, onto: Option<&Tensor>) -> Result<Tensor> {
        let (images, height, width, input) = x.dims4()?;
        let (output, kernel, ..) = conv.weight.dims4()?;
        let (wide_x, weight) = (x.to_dtype(DType::F32)?, conv.weight.to_dtype(DType::F32)?);
        let mut y = if kernel == 1 {
            let cells = wide_x.reshape((images * height * width, input))?;
            cells.matmul(&weight.reshape((output, input))?.t()?)?.reshape((images, height, width, output))?
        } else {
            let (planes, weight) =
                (wide_x.permute((0, 3, 1, 2))?, weight.permute((0, 3, 1, 2))?.contiguous()?);
            planes.contiguous()?.conv2d(&weight, kernel / 2, 1, 1, 1)?.permute((0, 2, 3, 1))?
        };
        if let Some(bias) = &conv.bias {
            y = y.broadcast_add(bias)?;
        }
        if let Some(onto) = onto {
            y = y.add(&upsampled(&onto.to_dtype(DType::F32)?, height, width)?)?;
        }
        y.to_dtype(x.dtype())?.contiguous()
    }

    fn add_noise(&self, x: Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let noise = plane.unsqueeze(3)?.broadcast_mul(weight)?; // (N, H, W, C)
        x.to_dtype(DType::F32)?.add(&noise)?.to_dtype(x.dtype())
    }

    fn image(&self, x: &Tensor, conv: &ToImage, out: &Tensor) -> Result<()> {
        let weight = conv.weight.narrow(2, 0, 3)?.permute((2, 1, 0))?.contiguous()?; // (3, C, 9)
        let weight = weight.reshape((3, x.dim(3)?, 3, 3))?;
        let planes = leaky_relu(&x.to_dtype(DType::F32)?)?.permute((0, 3, 1, 2))?.contiguous()?;
        let image = planes.conv2d(&weight, 1, 1, 1, 1)?.permute((0, 2, 3, 1))?;
        let image = image.broadcast_add(&conv.bias)?.tanh()?.contiguous()?;
        let image = match out.dtype() {
            DType::U8 => (((image + 1.0)? / 2.0)? * 255.0)?.clamp(0.0, 255.0)?.to_dtype(DType::U8)?,
            _ => image,
        };
        out.slice_set(&image, 0, 0)
    }

    fn download(&self, images: &Tensor) -> Result<Box<dyn Download>> {
        Ok(Box::new(Downloaded(images.flatten_from(1)?.to_vec2()?)))
    }
}

/// Bytes that have been waited for.
struct Downloaded(Vec<Vec<u8>>);

impl Download for Downloaded {
    fn event(&self) -> Event {
        Event::default()
    }

    /// The time is not known: nothing is measured by candle's operators.
    fn finish(self: Box<Self>) -> Result<(Vec<Vec<u8>>, Duration)> {
        Ok((self.0, Duration::ZERO))
    }
}

/// (N, h, w, C), as it is or twice as high and wide.
fn upsampled(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    if (h, w) == (height, width) {
        return Ok(x.clone());
    }
    x.reshape((n, h, 1, w, 1, c))?.broadcast_as((n, h, 2, w, 2, c))?.reshape((n, 2 * h, 2 * w, c))
}

fn leaky_relu(x: &Tensor) -> Result<Tensor> {
    x.maximum(&(x * SLOPE)?)
}
