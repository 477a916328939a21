//! What each kernel is called with: the shapes are checked here, so that no kernel reads or writes beside its tensors.

use candle_core::{DType, Result, Tensor, bail};

use super::widths;
use crate::device::call::{
    Argument::{Memory, Null, Number, Size},
    Call, expect, memory, number,
};

/// Cells whose channels one thread of `modulate` takes, one after the other.
const CELLS: usize = 4;

/// `out` (patches, width) becomes `bias + Σ weights[row]` over the taps of each patch of `rows` (patches, taps) u32; no
/// negative numbers where `rectify` says so. `weights` (count, width) and `bias` (width) are f32; a row beyond `count` adds
/// nothing.
///
/// # Errors
/// When shapes or types do not agree.
pub fn lookup<'a>(
    rows: &'a Tensor,
    weights: &'a Tensor,
    bias: &'a Tensor,
    rectify: bool,
    out: &'a Tensor,
) -> Result<Call<'a>> {
    let ((patches, taps), (count, width)) = (rows.dims2()?, weights.dims2()?);
    expect(weights, DType::F32, &[count, width])?;
    expect(bias, DType::F32, &[width])?;
    expect(rows, DType::U32, &[patches, taps])?;
    expect(out, real(out)?, &[patches, width])?;
    let (at_once, groups) = at_once(out, width);
    Ok(Call {
        name: "lookup",
        at_once,
        threads: threads(&[patches, groups])?,
        arguments: vec![
            number(patches)?,
            number(taps)?,
            number(groups)?,
            number(count)?,
            Number(u32::from(rectify)),
            Memory(rows),
            Memory(weights),
            Memory(bias),
            Memory(out),
        ],
    })
}

/// `out` (rows, taps · width) becomes the hidden vectors (patches, width) at the taps (rows, taps) u32 of every
/// neighbourhood, side by side. A tap beyond the patches reads zeros.
///
/// # Errors
/// When shapes or types do not agree.
pub fn gather<'a>(hidden: &'a Tensor, taps: &'a Tensor, out: &'a Tensor) -> Result<Call<'a>> {
    let ((patches, width), (rows, area)) = (hidden.dims2()?, taps.dims2()?);
    expect(taps, DType::U32, &[rows, area])?;
    expect(hidden, real(hidden)?, &[patches, width])?;
    expect(out, hidden.dtype(), &[rows, area * width])?;
    let (at_once, groups) = at_once(hidden, width);
    Ok(Call {
        name: "gather",
        at_once,
        threads: threads(&[rows, area, groups])?,
        arguments: vec![
            Size((rows * area) as u64),
            number(groups)?,
            number(patches)?,
            Memory(hidden),
            Memory(taps),
            Memory(out),
        ],
    })
}

/// `normalised · (gamma + bias) + (beta + bias)` with gamma and beta from a table, and a leaky ReLU where `activate` says
/// so. The modulated map is read up-sampled where `ids` is twice as large.
pub struct ModulateArgs<'a> {
    /// The table's row for every cell, (N, H, W) u32. A row beyond the table is its last one.
    pub ids: &'a Tensor,
    /// Gamma and beta of every row, (rows, 2·C).
    pub table: &'a Tensor,
    /// What is added to them, (2, C) f32; gamma's includes the 1.
    pub bias: &'a Tensor,
    /// What normalises: `x · scale + shift`, (1 or N, 2, C) f32.
    pub normalise: &'a Tensor,
    /// Whether the leaky ReLU follows.
    pub activate: bool,
}

/// `out` (N, H, W, C) becomes the modulation of `x` (N, h, w, C).
///
/// # Errors
/// When shapes or types do not agree.
pub fn modulate<'a>(x: &'a Tensor, modulation: &ModulateArgs<'a>, out: &'a Tensor) -> Result<Call<'a>> {
    let ModulateArgs { ids, table, bias, normalise, activate } = *modulation;
    let ((images, height, width), channels) = (ids.dims3()?, x.dim(3)?);
    let shift = halvings(x, [images, height, width])?;
    let statistics = normalise.dim(0)?;
    if statistics != 1 && statistics != images {
        bail!("{statistics} images' statistics do not normalise {images} images")
    }
    expect(ids, DType::U32, &[images, height, width])?;
    let rows = table.dim(0)?;
    if rows == 0 {
        bail!("a table has rows")
    }
    expect(x, real(x)?, x.dims())?;
    expect(table, x.dtype(), &[rows, 2 * channels])?;
    expect(bias, DType::F32, &[2, channels])?;
    expect(normalise, DType::F32, &[statistics, 2, channels])?;
    expect(out, x.dtype(), &[images, height, width, channels])?;
    let (at_once, groups) = at_once(x, channels);
    let cells = images * height * width;
    let stride = cells.div_ceil(CELLS);
    Ok(Call {
        name: "modulate",
        at_once,
        threads: threads(&[groups, stride])?,
        arguments: vec![
            number(cells)?,
            number(stride)?,
            number(groups)?,
            number(rows)?,
            number(height)?,
            number(width)?,
            Number(shift),
            Number(u32::from(statistics > 1)),
            Number(u32::from(activate)),
            Memory(x),
            Memory(ids),
            Memory(table),
            Memory(bias),
            Memory(normalise),
            Memory(out),
        ],
    })
}

/// To `x` (N, H, W, C), in place, what is there of a bias (C) f32, a map of its size or half of it, and a plane
/// (N, H, W) f32 by weights (C) f32.
///
/// # Errors
/// When shapes or types do not agree.
pub fn add<'a>(
    x: &'a Tensor,
    bias: Option<&'a Tensor>,
    onto: Option<&'a Tensor>,
    noise: Option<[&'a Tensor; 2]>,
) -> Result<Call<'a>> {
    let (images, height, width, channels) = x.dims4()?;
    let shift = onto.map_or(Ok(0), |onto| halvings(onto, [images, height, width]))?;
    if let Some(onto) = onto {
        let (n, h, w, _) = onto.dims4()?;
        expect(onto, x.dtype(), &[n, h, w, channels])?;
    }
    if let Some(bias) = bias {
        expect(bias, DType::F32, &[channels])?;
    }
    if let Some([plane, weight]) = noise {
        expect(plane, DType::F32, &[images, height, width])?;
        expect(weight, DType::F32, &[channels])?;
    }
    let (at_once, groups) = at_once(x, channels);
    let cells = images * height * width;
    expect(x, real(x)?, x.dims())?;
    Ok(Call {
        name: "add",
        at_once,
        threads: threads(&[cells, groups])?,
        arguments: vec![
            number(cells)?,
            number(groups)?,
            number(height)?,
            number(width)?,
            Number(shift),
            memory(bias),
            memory(onto),
            memory(noise.map(|[plane, _]| plane)),
            memory(noise.map(|[_, weight]| weight)),
            Memory(x),
        ],
    })
}

/// `out` (N, H, W, 3) becomes the image of `x` (N, H, W, C): leaky ReLU, conv 3×3 with `weight` (9, C, 4) f32, whose fourth
/// column is not used, and `bias` (3) f32, tanh. `out` is f32 in [-1, 1], or bytes: `trunc(clip((x + 1) / 2 · 255, 0, 255))`.
///
/// # Errors
/// When shapes or types do not agree.
pub fn to_image<'a>(
    x: &'a Tensor,
    weight: &'a Tensor,
    bias: &'a Tensor,
    out: &'a Tensor,
) -> Result<Call<'a>> {
    let (images, height, width, channels) = x.dims4()?;
    expect(x, real(x)?, x.dims())?;
    expect(weight, DType::F32, &[9, channels, 4])?;
    expect(bias, DType::F32, &[3])?;
    let (reals, bytes) = match out.dtype() {
        DType::U8 => (Null, Memory(out)),
        _ => (Memory(out), Null),
    };
    expect(out, if matches!(reals, Null) { DType::U8 } else { DType::F32 }, &[images, height, width, 3])?;
    let (at_once, groups) = at_once(x, channels);
    let cells = images * height * width;
    Ok(Call {
        name: "picture",
        at_once,
        threads: threads(&[cells])?,
        arguments: vec![
            number(cells)?,
            number(groups)?,
            number(height)?,
            number(width)?,
            Memory(x),
            Memory(weight),
            Memory(bias),
            reals,
            bytes,
        ],
    })
}

/// How many of a tensor's channels a thread takes at once, and how many such groups there are.
fn at_once(tensor: &Tensor, channels: usize) -> (usize, usize) {
    let [single, wide] = widths(tensor.dtype());
    let at_once = if channels.is_multiple_of(wide) { wide } else { single };
    (at_once, channels / at_once)
}

/// How often `x` (N, h, w, C) is half as large as (N, height, width): never or once.
fn halvings(x: &Tensor, [images, height, width]: [usize; 3]) -> Result<u32> {
    let (n, h, w, _) = x.dims4()?;
    match (h, w) {
        _ if n != images => {}
        same if same == (height, width) => return Ok(0),
        (h, w) if (2 * h, 2 * w) == (height, width) => return Ok(1),
        _ => {}
    }
    bail!("a map {:?} is neither {images}×{height}×{width} nor half of it", x.shape())
}

/// A network's type, f32 or bf16.
fn real(tensor: &Tensor) -> Result<DType> {
    match tensor.dtype() {
        dtype @ (DType::F32 | DType::BF16) => Ok(dtype),
        other => bail!("the kernels compute in f32 or bf16, not in {other:?}"),
    }
}

/// The product of some sizes, which must be countable.
fn threads(sizes: &[usize]) -> Result<usize> {
    match sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) {
        Some(threads) => Ok(threads),
        None => bail!("{sizes:?} are more threads than there can be"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn map(height: usize, channels: usize) -> Tensor {
        Tensor::zeros((1, height, 4, channels), DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_call_with_tensors_that_do_not_fit_is_refused() {
        let (x, small) = (map(4, 8), map(2, 8));
        let refused = |onto: &Tensor| add(&x, None, Some(onto), None).is_err();
        assert!(refused(&map(3, 8)) && refused(&map(4, 4)) && refused(&small));
        assert!(!refused(&map(4, 8)));
        let bias = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
        assert!(add(&x, Some(&bias), None, None).is_err());
        let transposed = map(4, 4).transpose(1, 2).unwrap();
        assert!(add(&transposed, None, None, None).is_err(), "it is not in one piece");
    }
}
