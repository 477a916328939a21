//! The sizes of one convolution.

use candle_core::{Result, bail};

use super::Conv;

/// Cells that one task computes: enough to reuse a packed panel.
const CELLS: usize = 512;

/// All sizes of a convolution of an N H W C map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) padding: usize,
    pub(crate) stride: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Geometry {
    pub(super) fn new(x: &[usize], weight: &[usize], conv: Conv) -> Result<Self> {
        let Conv { padding, stride, .. } = conv;
        let (&[batch, height, width, input], &[output, inner, kernel, columns]) = (x, weight) else {
            bail!("a conv takes a map (N, H, W, in) and a weight (out, in, k, k), not {x:?} and {weight:?}")
        };
        if inner != input || columns != kernel || stride == 0 {
            bail!("a conv of weight {weight:?} does not fit a map {x:?}")
        }
        let size = |size: usize| match (size + 2 * padding).checked_sub(kernel) {
            Some(rest) => Ok(rest / stride + 1),
            None => bail!("a conv of weight {weight:?} is larger than its padded map {x:?}"),
        };
        let (out_height, out_width) = (size(height)?, size(width)?);
        Ok(Self { batch, height, width, input, output, kernel, padding, stride, out_height, out_width })
    }

    /// A matrix product, seen as a 1×1 conv over `rows` cells.
    pub(crate) fn product(rows: usize, input: usize, output: usize) -> Self {
        Self {
            batch: 1,
            height: 1,
            width: rows,
            input,
            output,
            kernel: 1,
            padding: 0,
            stride: 1,
            out_height: 1,
            out_width: rows,
        }
    }

    pub(super) fn output_shape(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.out_height, self.out_width, self.output)
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Cells between neighbouring windows' furthest taps, in windows: how far a conv over phases reaches.
    pub(super) fn reach(&self) -> usize {
        (self.kernel - 1) / self.stride
    }
}

/// Rows of `width` cells that one task takes, of `rows` in each image.
pub(super) fn rows_at_once(rows: usize, width: usize, batch: usize) -> usize {
    let few = (rows * batch).div_ceil(8).max(1); // small maps are cut for the sake of parallel tasks
    (CELLS / width.max(1)).clamp(1, few).min(rows.max(1))
}

/// Rows of one image: the image, the first row, how many.
pub(super) type RowGroup = (usize, usize, usize);

/// Cuts every image's rows into groups.
pub(super) fn row_groups(batch: usize, rows: usize, at_once: usize) -> Vec<RowGroup> {
    (0..batch).flat_map(|n| (0..rows).step_by(at_once).map(move |y| (n, y, at_once.min(rows - y)))).collect()
}

/// Splits `values` into the parts of the groups, each of `row` elements for each of its rows.
pub(super) fn split_rows<'a, T>(
    mut values: &'a mut [T],
    groups: &[RowGroup],
    row: usize,
) -> Vec<(RowGroup, &'a mut [T])> {
    groups
        .iter()
        .map(|&group| {
            let (part, rest) = std::mem::take(&mut values).split_at_mut(group.2 * row);
            values = rest;
            (group, part)
        })
        .collect()
}
