//! What each kernel is called with: the shapes are checked here, so that no kernel reads or writes beside its tensors.

use candle_core::{DType, Result, Tensor, bail};

use super::widths;
use crate::call::{
    Argument::{Memory, Null, Number, Size},
    Call, memory, number,
};
use crate::tables::{Lookup, Modulation, ToImage};

/// Cells whose channels one thread of `modulate` takes, one after the other.
const CELLS: usize = 4;

/// [`Operators::lookup`](crate::tables::Operators::lookup) into `out`.
pub(crate) fn lookup<'a>(
    rows: &'a Tensor,
    conv: &'a Lookup,
    rectify: bool,
    out: &'a Tensor,
) -> Result<Call<'a>> {
    let ((patches, taps), width) = (rows.dims2()?, conv.bias.dim(0)?);
    expect(&conv.weights, DType::F32, &[conv.weights.dim(0)?, width])?;
    expect(rows, DType::U32, &[patches, taps])?;
    expect(out, conv.dtype, &[patches, width])?;
    let (at_once, groups) = at_once(out, width);
    Ok(Call {
        name: "lookup",
        at_once,
        threads: patches * groups,
        arguments: vec![
            number(patches)?,
            number(taps)?,
            number(groups)?,
            Number(u32::from(rectify)),
            Memory(rows),
            Memory(&conv.weights),
            Memory(&conv.bias),
            Memory(out),
        ],
    })
}

/// [`Operators::gather`](crate::tables::Operators::gather) into `out`.
pub(crate) fn gather<'a>(hidden: &'a Tensor, taps: &'a Tensor, out: &'a Tensor) -> Result<Call<'a>> {
    let ((patches, width), (rows, area)) = (hidden.dims2()?, taps.dims2()?);
    expect(taps, DType::U32, &[rows, area])?;
    expect(out, hidden.dtype(), &[rows, area * width])?;
    let (at_once, groups) = at_once(hidden, width);
    Ok(Call {
        name: "gather",
        at_once,
        threads: rows * area * groups,
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

/// [`Operators::modulate`](crate::tables::Operators::modulate) into `out`.
pub(crate) fn modulate<'a>(x: &'a Tensor, modulation: &Modulation<'a>, out: &'a Tensor) -> Result<Call<'a>> {
    let Modulation { ids, table, bias, normalise, activate } = *modulation;
    let ((pictures, height, width), channels) = (ids.dims3()?, x.dim(3)?);
    let shift = halvings(x, [pictures, height, width])?;
    let statistics = normalise.dim(0)?;
    if statistics != 1 && statistics != pictures {
        bail!("{statistics} pictures' statistics do not normalise {pictures} pictures")
    }
    expect(ids, DType::U32, &[pictures, height, width])?;
    expect(table, x.dtype(), &[table.dim(0)?, 2 * channels])?;
    expect(bias, DType::F32, &[2, channels])?;
    expect(normalise, DType::F32, &[statistics, 2, channels])?;
    expect(out, x.dtype(), &[pictures, height, width, channels])?;
    let (at_once, groups) = at_once(x, channels);
    let cells = pictures * height * width;
    let stride = cells.div_ceil(CELLS);
    Ok(Call {
        name: "modulate",
        at_once,
        threads: groups * stride,
        arguments: vec![
            number(cells)?,
            number(stride)?,
            number(groups)?,
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
pub(crate) fn add<'a>(
    x: &'a Tensor,
    bias: Option<&'a Tensor>,
    onto: Option<&'a Tensor>,
    noise: Option<[&'a Tensor; 2]>,
) -> Result<Call<'a>> {
    let (pictures, height, width, channels) = x.dims4()?;
    let shift = onto.map_or(Ok(0), |onto| halvings(onto, [pictures, height, width]))?;
    if let Some(onto) = onto
        && (onto.dim(3)? != channels || onto.dtype() != x.dtype())
    {
        bail!("{onto:?} is not added to {x:?}")
    }
    if let Some(bias) = bias {
        expect(bias, DType::F32, &[channels])?;
    }
    if let Some([plane, weight]) = noise {
        expect(plane, DType::F32, &[pictures, height, width])?;
        expect(weight, DType::F32, &[channels])?;
    }
    let (at_once, groups) = at_once(x, channels);
    let cells = pictures * height * width;
    Ok(Call {
        name: "add",
        at_once,
        threads: cells * groups,
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

/// [`Operators::picture`](crate::tables::Operators::picture) into `out`, whose type says in which form.
pub(crate) fn picture<'a>(x: &'a Tensor, conv: &'a ToImage, out: &'a Tensor) -> Result<Call<'a>> {
    let (pictures, height, width, channels) = x.dims4()?;
    expect(&conv.weight, DType::F32, &[9, channels, 4])?;
    expect(&conv.bias, DType::F32, &[3])?;
    let (real, bytes) = match out.dtype() {
        DType::U8 => (Null, Memory(out)),
        _ => (Memory(out), Null),
    };
    expect(out, if matches!(real, Null) { DType::U8 } else { DType::F32 }, &[pictures, height, width, 3])?;
    let (at_once, groups) = at_once(x, channels);
    let cells = pictures * height * width;
    Ok(Call {
        name: "picture",
        at_once,
        threads: cells,
        arguments: vec![
            number(cells)?,
            number(groups)?,
            number(height)?,
            number(width)?,
            Memory(x),
            Memory(&conv.weight),
            Memory(&conv.bias),
            real,
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
fn halvings(x: &Tensor, [pictures, height, width]: [usize; 3]) -> Result<u32> {
    let (n, h, w, _) = x.dims4()?;
    match (h, w) {
        _ if n != pictures => {}
        same if same == (height, width) => return Ok(0),
        (h, w) if (2 * h, 2 * w) == (height, width) => return Ok(1),
        _ => {}
    }
    bail!("a map {:?} is neither {pictures}×{height}×{width} nor half of it", x.shape())
}

fn expect(tensor: &Tensor, dtype: DType, shape: &[usize]) -> Result<()> {
    if tensor.dtype() != dtype || tensor.dims() != shape {
        bail!("expected {dtype:?} {shape:?}, there is {:?} {:?}", tensor.dtype(), tensor.shape())
    }
    Ok(())
}
