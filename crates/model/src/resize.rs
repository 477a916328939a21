//! Nearest-neighbour resizing as it happens *inside* the network. Files are resized elsewhere, by another rule.

use candle_core::{Result, Tensor};

/// The input index that output index `i` reads when `input` cells become `output`.
///
/// This is `floor(i · input / output)` in 32-bit floats, as PyTorch's `interpolate(mode="nearest")` computes it; for
/// ratios that are powers of two the arithmetic is exact.
pub fn nearest_index(i: usize, input: usize, output: usize) -> usize {
    let scale = input as f32 / output as f32;
    ((i as f32 * scale).floor() as usize).min(input - 1)
}

/// (N, C, H, W) → (N, C, height, width) by [`nearest_index`] on both axes.
///
/// # Errors
/// When the tensor has no four dimensions.
pub fn resize_nearest(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let x = select(x, 2, h, height)?;
    select(&x, 3, w, width)
}

fn select(x: &Tensor, axis: usize, input: usize, output: usize) -> Result<Tensor> {
    if input == output {
        return Ok(x.clone());
    }
    let indices: Vec<u32> = (0..output).map(|i| nearest_index(i, input, output) as u32).collect();
    x.contiguous()?.index_select(&Tensor::new(indices, x.device())?, axis)
}

/// Nearest ×2 up-sampling, (N, C, H, W) → (N, C, 2H, 2W).
///
/// Written as a broadcast because candle's own up-sampling has a wrong gradient when its input is used twice.
///
/// # Errors
/// When the tensor has no four dimensions.
pub fn upsample_twice(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n, c, h, 1, w, 1))?.broadcast_as((n, c, h, 2, w, 2))?.reshape((n, c, 2 * h, 2 * w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn powers_of_two_take_the_top_left_pixel_of_each_cell() {
        let read: Vec<usize> = (0..4).map(|i| nearest_index(i, 16, 4)).collect();
        assert_eq!(read, [0, 4, 8, 12]);
        let read: Vec<usize> = (0..4).map(|i| nearest_index(i, 2, 4)).collect();
        assert_eq!(read, [0, 0, 1, 1]);
    }

    #[test]
    fn other_ratios_never_leave_the_input() {
        for (input, output) in [(100, 96), (7, 13), (13, 7), (1, 9)] {
            assert!((0..output).all(|i| nearest_index(i, input, output) < input));
        }
    }

    #[test]
    fn upsampling_repeats_every_pixel_twice_on_both_axes() -> Result<()> {
        let x = Tensor::new(&[[[[1f32, 2.], [3., 4.]]]], &Device::Cpu)?;
        let rows = upsample_twice(&x)?.squeeze(0)?.squeeze(0)?.to_vec2::<f32>()?;
        assert_eq!(rows, [[1., 1., 2., 2.], [1., 1., 2., 2.], [3., 3., 4., 4.], [3., 3., 4., 4.]]);
        Ok(())
    }
}
