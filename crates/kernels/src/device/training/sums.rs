//! Sums over cells, in parts whose order is fixed.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    calls::{expect, expect_f32, memory, number},
    operators::TrainingOperators,
};
use crate::device::call::Argument::{Float, Memory, Number, Size};

/// Cells of a part of a map.
const CELLS: usize = 128;
/// Rows of a part of a longer sum.
const ROWS: usize = 256;
/// Parts of a sum over all numbers.
const PARTS: usize = 1 << 16;

/// Which rows of a matrix each of several sums has, on the device.
pub(super) struct Sums {
    starts: Tensor,
    items: Option<Tensor>, // none: the rows themselves
    parts_of: Option<Tensor>,
    keys: usize,
    rows: usize, // of the matrix
}

/// Where stretches of at most `most` items begin, and which of these stretches each key has.
fn parts(starts: &[u32], most: u32) -> (Vec<u32>, Vec<u32>) {
    let (mut parts, mut of) = (Vec::with_capacity(starts.len()), Vec::with_capacity(starts.len()));
    for key in starts.windows(2) {
        of.push(parts.len() as u32);
        parts.extend((key[0]..key[1]).step_by(most as usize));
    }
    of.push(parts.len() as u32);
    parts.extend(starts.last());
    (parts, of)
}

impl Sums {
    /// Takes lists onto the device: sums of rows of a matrix of `rows` rows.
    pub(super) fn new(
        operators: &TrainingOperators,
        starts: &[u32],
        items: Option<&[u32]>,
        rows: usize,
    ) -> Result<Self> {
        let named = items.map_or(rows, <[u32]>::len);
        let ascending = starts.windows(2).all(|two| two[0] <= two[1]);
        let within = starts.last().is_some_and(|last| *last as usize <= named);
        if !ascending || !within || items.is_some_and(|items| items.iter().any(|item| *item as usize >= rows))
        {
            bail!("a list of sums names rows that are not there")
        }
        let longest = starts.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0);
        let (first, parts_of) = match longest as usize > ROWS {
            true => {
                let (parts, of) = parts(starts, ROWS as u32);
                (parts, Some(operators.upload(of)?))
            }
            false => (starts.to_vec(), None),
        };
        Ok(Self {
            starts: operators.upload(first)?,
            items: items.map(|items| operators.upload(items.to_vec())).transpose()?,
            parts_of,
            keys: starts.len() - 1,
            rows,
        })
    }
}

impl TrainingOperators {
    /// Elements as a vector on the device.
    pub(super) fn upload(&self, numbers: Vec<u32>) -> Result<Tensor> {
        let len = numbers.len();
        // Nothing has no place on a device.
        let numbers = if numbers.is_empty() { vec![0] } else { numbers };
        Tensor::from_vec(numbers, len.max(1), self.device())
    }

    /// The sums of rows of `x` (rows, width), plus `bias` (width), without negative numbers where `rectify` says so.
    pub(super) fn sum_rows(
        &self,
        sums: &Sums,
        x: &Tensor,
        bias: Option<&Tensor>,
        rectify: bool,
    ) -> Result<Tensor> {
        let width = x.dim(1)?;
        expect(x, DType::F32, &[sums.rows, width])?;
        if let Some(bias) = bias {
            expect(bias, DType::F32, &[width])?;
        }
        let Some(parts_of) = &sums.parts_of else {
            return self.one_level(&sums.starts, sums.items.as_ref(), x, bias, rectify, sums.keys);
        };
        let parts =
            self.one_level(&sums.starts, sums.items.as_ref(), x, None, false, sums.starts.dim(0)? - 1)?;
        self.one_level(parts_of, None, &parts, bias, rectify, sums.keys)
    }

    fn one_level(
        &self,
        starts: &Tensor,
        items: Option<&Tensor>,
        x: &Tensor,
        bias: Option<&Tensor>,
        rectify: bool,
        rows: usize,
    ) -> Result<Tensor> {
        let width = x.dim(1)?;
        let out = self.empty(&[rows, width])?;
        let arguments = vec![
            number(rows)?,
            number(width)?,
            Number(u32::from(rectify)),
            Memory(starts),
            memory(items),
            Memory(x),
            memory(bias),
        ];
        self.run("sum_rows", rows * width, arguments, &out)?;
        Ok(out)
    }

    /// Sums and sums of squares of `x` (N, H, W, C), of each image or of all: (N or 1, 2, C) in f64.
    ///
    /// # Errors
    /// When `x` is no f32 map in one piece.
    pub fn moment_sums(&self, x: &Tensor, per_image: bool) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        expect_f32(x)?;
        let (parts, arguments) = parts_of_map([n, h * w, c])?;
        let out = self.backend.empty(&[parts, 2, c], DType::F64)?;
        self.run("moment_parts", parts * c, [arguments, vec![Memory(x)]].concat(), &out)?;
        total(&out, if per_image { n } else { 1 })
    }

    /// Mean, `1 / √(variance + ε)` and variance, (rows, 3, C), from sums over `count` cells each.
    ///
    /// # Errors
    /// When `sums` are none of [`moment_sums`](Self::moment_sums).
    pub fn statistics(&self, sums: &Tensor, count: usize) -> Result<Tensor> {
        let (rows, _, c) = sums.dims3()?;
        expect(sums, DType::F64, &[rows, 2, c])?;
        let out = self.empty(&[rows, 3, c])?;
        let arguments = vec![number(rows)?, number(c)?, number(count)?, Memory(sums)];
        self.run("statistics", rows * c, arguments, &out)?;
        Ok(out)
    }

    /// The sum of every channel of `x` (…, C), or of its products with `plane`, which has one number for each cell.
    ///
    /// # Errors
    /// When sizes do not agree.
    pub fn column_sums(&self, x: &Tensor, plane: Option<&Tensor>) -> Result<Tensor> {
        expect_f32(x)?;
        let c = x.dims().last().copied().unwrap_or(1).max(1);
        let cells = x.elem_count() / c;
        if plane.is_some_and(|plane| plane.elem_count() != cells || expect_f32(plane).is_err()) {
            bail!("a plane {:?} does not weigh a map {:?}", plane.map(Tensor::shape), x.shape())
        }
        let (parts, arguments) = parts_of_map([1, cells, c])?;
        let out = self.backend.empty(&[parts, c], DType::F64)?;
        let arguments = [arguments, vec![memory(plane), Memory(x)]].concat();
        self.run("column_parts", parts * c, arguments, &out)?;
        total(&out, 1)?.squeeze(0)?.to_dtype(DType::F32)
    }

    /// The mean of |a − b|, a scalar.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn mean_distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        expect_f32(a)?;
        expect(b, DType::F32, a.dims())?;
        let numbers = a.elem_count();
        let parts = numbers.clamp(1, PARTS);
        let out = self.empty(&[parts])?;
        let arguments = vec![number(parts)?, Size(numbers as u64), Memory(a), Memory(b)];
        self.run("distance_parts", parts, arguments, &out)?;
        out.sum_all()? / numbers as f64
    }

    /// The gradient of the mean distance for `a`, from the scalar behind it.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn distance_gradient(&self, a: &Tensor, b: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        expect_f32(a)?;
        expect(b, DType::F32, a.dims())?;
        expect(gradient, DType::F32, &[])?;
        let numbers = a.elem_count();
        let out = self.empty(a.dims())?;
        let share = 1.0 / numbers as f32;
        let arguments = vec![Size(numbers as u64), Float(share), Memory(a), Memory(b), Memory(gradient)];
        self.run("distance_gradient", numbers, arguments, &out)?;
        Ok(out)
    }
}

/// How many parts the cells of a map are summed up in, and what their kernels are told.
pub(super) fn parts_of_map(
    [images, cells, channels]: [usize; 3],
) -> Result<(usize, Vec<crate::device::call::Argument<'static>>)> {
    let parts = images * cells.div_ceil(CELLS);
    Ok((parts, vec![number(parts)?, number(channels)?, number(cells)?, number(CELLS)?]))
}

/// Sums of parts (rows · n, …) as (rows, …).
pub(super) fn total(parts: &Tensor, rows: usize) -> Result<Tensor> {
    let mut shape = vec![rows, parts.dim(0)? / rows];
    shape.extend(&parts.dims()[1..]);
    parts.reshape(shape)?.sum(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sum_has_several_parts_and_an_empty_one_has_none() {
        assert_eq!(parts(&[0, 2, 2, 7], 2), (vec![0, 2, 4, 6, 7], vec![0, 1, 1, 4]));
    }

    #[test]
    fn sums_of_many_rows_are_those_of_a_loop() {
        let operators = TrainingOperators::emulated(false);
        let (rows, width) = (40, 3);
        let numbers: Vec<f32> = (0..rows * width).map(|i| (i * 7 % 31) as f32 - 15.0).collect();
        let x = Tensor::from_slice(&numbers, (rows, width), &candle_core::Device::Cpu).unwrap();
        let bias = Tensor::new(&[1f32, -2.0, 0.5], &candle_core::Device::Cpu).unwrap();
        let items: Vec<u32> = (0..805).map(|i| i * 13 % rows as u32).collect();
        let starts = [0, 700, 700, 705, 805];
        let sums = Sums::new(&operators, &starts, Some(&items), rows).unwrap();
        let ours = operators.sum_rows(&sums, &x, Some(&bias), true).unwrap().to_vec2::<f32>().unwrap();
        for (key, two) in starts.windows(2).enumerate() {
            for c in 0..width {
                let named = &items[two[0] as usize..two[1] as usize];
                let sum: f32 = named.iter().map(|row| numbers[*row as usize * width + c]).sum();
                let expected = (sum + [1.0, -2.0, 0.5][c]).max(0.0);
                assert!(
                    (ours[key][c] - expected).abs() < 1e-3,
                    "{key}, {c}: {} not {expected}",
                    ours[key][c]
                );
            }
        }
    }

    #[test]
    fn lists_that_name_what_is_not_there_are_refused() {
        let operators = TrainingOperators::emulated(false);
        let new = |starts: &[u32], items: &[u32]| Sums::new(&operators, starts, Some(items), 4);
        assert!(new(&[0, 2], &[0, 3]).is_ok());
        for (starts, items) in [([0, 2], [0, 4]), ([0, 3], [0, 1]), ([2, 1], [0, 1])] {
            assert!(new(&starts, &items).is_err(), "{starts:?} {items:?}");
        }
    }
}
