//! The two-dimensional transforms of kernels, inputs and products, blocks of channels at a time.

use pulp::{Simd, WithSimd};
use spadework_model::Grid;

use super::tile::{self, Tile};
use spadework_kernels::cpu::BLOCK;

/// A square of vectors, transformed on both sides. (Closures would not be inlined, and vectors would go through memory.)
trait BothSides<S: Simd, const FROM: usize, const TO: usize> {
    fn read(&self, row: usize, column: usize) -> S::f32s;
    fn transform(simd: S, column: [S::f32s; FROM]) -> [S::f32s; TO];
    fn write(&mut self, simd: S, row: usize, column: usize, numbers: S::f32s);

    #[expect(clippy::needless_range_loop, reason = "an iterator over vectors would keep them in memory")]
    #[inline(always)]
    fn run(mut self, simd: S)
    where
        Self: Sized,
    {
        let zero = simd.splat_f32s(0.0);
        let mut left = [[zero; FROM]; TO];
        for column in 0..FROM {
            let mut x = [zero; FROM];
            for row in 0..FROM {
                x[row] = self.read(row, column);
            }
            let y = Self::transform(simd, x);
            for row in 0..TO {
                left[row][column] = y[row];
            }
        }
        for row in 0..TO {
            let y = Self::transform(simd, left[row]);
            for column in 0..TO {
                self.write(simd, row, column, y[column]);
            }
        }
    }
}

/// `G w Gᵀ` of kernels of one block of output channels, a panel for each place.
pub(super) struct KernelRows<'a> {
    pub(super) tile: Tile,
    pub(super) kernels: &'a [[[f32; BLOCK]; 9]], // [input][tap][output]
    pub(super) place_stride: usize,
    pub(super) panels: &'a mut [f32], // [place][input][output]
}

impl WithSimd for KernelRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.tile {
            Tile::Two => self.all::<S, 4>(simd),
            Tile::Four => self.all::<S, 6>(simd),
        }
    }
}

impl KernelRows<'_> {
    #[inline(always)]
    fn all<S: Simd, const SIDE: usize>(&mut self, simd: S) {
        for (input, kernel) in self.kernels.iter().enumerate() {
            for lane in 0..BLOCK / S::F32_LANES {
                let panels = &mut self.panels[input * BLOCK..];
                let lane = KernelLane { lane, kernel, place_stride: self.place_stride, panels };
                BothSides::<S, 3, SIDE>::run(lane, simd);
            }
        }
    }
}

struct KernelLane<'a> {
    lane: usize,
    kernel: &'a [[f32; BLOCK]; 9],
    place_stride: usize,
    panels: &'a mut [f32],
}

impl<S: Simd, const SIDE: usize> BothSides<S, 3, SIDE> for KernelLane<'_> {
    #[inline(always)]
    fn read(&self, row: usize, column: usize) -> S::f32s {
        S::as_simd_f32s(&self.kernel[row * 3 + column]).0[self.lane]
    }

    #[inline(always)]
    fn transform(simd: S, column: [S::f32s; 3]) -> [S::f32s; SIDE] {
        tile::kernel(simd, column)
    }

    #[inline(always)]
    fn write(&mut self, _: S, row: usize, column: usize, numbers: S::f32s) {
        let start = (row * SIDE + column) * self.place_stride;
        S::as_mut_simd_f32s(&mut self.panels[start..start + BLOCK]).0[self.lane] = numbers;
    }
}

/// Rows of a tile's input.
type Patch<'a, const SIDE: usize> = [&'a [[f32; BLOCK]; SIDE]; SIDE];

/// `Bᵀ x B` of tiles of one row and one block of input channels.
pub(super) struct InputRow<'a> {
    pub(super) tile: Tile,
    pub(super) cells: &'a [[f32; BLOCK]], // of the bordered plane
    pub(super) grid: Grid,
    pub(super) top: usize,
    pub(super) tiles: usize,
    pub(super) place_stride: usize,
    pub(super) out: &'a mut [f32], // [place][tile][channel]
}

impl WithSimd for InputRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.tile {
            Tile::Two => self.all::<S, 2, 4>(simd),
            Tile::Four => self.all::<S, 4, 6>(simd),
        }
    }
}

impl InputRow<'_> {
    #[inline(always)]
    fn all<S: Simd, const OUTPUTS: usize, const SIDE: usize>(&mut self, simd: S) {
        let top = self.top;
        let mut copy = [[[0.0; BLOCK]; SIDE]; SIDE];
        for index in 0..self.tiles {
            let left = index * OUTPUTS;
            if top + SIDE <= self.grid.height && left + SIDE <= self.grid.width {
                let patch = patch::<SIDE>(self.cells, self.grid, (top, left));
                self.one(simd, index, patch);
            } else {
                self.copy_patch((top, left), &mut copy);
                self.one(simd, index, copy.each_ref());
            }
        }
    }

    #[inline(always)]
    fn one<S: Simd, const SIDE: usize>(&mut self, simd: S, index: usize, patch: Patch<'_, SIDE>) {
        for lane in 0..BLOCK / S::F32_LANES {
            let out = &mut self.out[index * BLOCK..];
            let lane = InputLane { lane, patch, place_stride: self.place_stride, out };
            BothSides::<S, SIDE, SIDE>::run(lane, simd);
        }
    }

    /// A tile's input that lies partly outside the plane, where it is zero.
    fn copy_patch<const SIDE: usize>(
        &self,
        (top, left): (usize, usize),
        copy: &mut [[[f32; BLOCK]; SIDE]; SIDE],
    ) {
        for (row, cells) in copy.iter_mut().enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                let (y, x) = (top + row, left + column);
                let inside = y < self.grid.height && x < self.grid.width;
                *cell = if inside { self.cells[y * self.grid.width + x] } else { [0.0; BLOCK] };
            }
        }
    }
}

struct InputLane<'a, const SIDE: usize> {
    lane: usize,
    patch: Patch<'a, SIDE>,
    place_stride: usize,
    out: &'a mut [f32],
}

impl<S: Simd, const SIDE: usize> BothSides<S, SIDE, SIDE> for InputLane<'_, SIDE> {
    #[inline(always)]
    fn read(&self, row: usize, column: usize) -> S::f32s {
        S::as_simd_f32s(&self.patch[row][column]).0[self.lane]
    }

    #[inline(always)]
    fn transform(simd: S, column: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
        tile::input(simd, column)
    }

    #[inline(always)]
    fn write(&mut self, _: S, row: usize, column: usize, numbers: S::f32s) {
        let start = (row * SIDE + column) * self.place_stride;
        S::as_mut_simd_f32s(&mut self.out[start..start + BLOCK]).0[self.lane] = numbers;
    }
}

/// A tile's input that lies inside the plane.
#[inline(always)]
fn patch<const SIDE: usize>(
    cells: &[[f32; BLOCK]],
    grid: Grid,
    (top, left): (usize, usize),
) -> Patch<'_, SIDE> {
    let mut patch = [&[[0.0; BLOCK]; SIDE]; SIDE];
    for (row, inside) in patch.iter_mut().enumerate() {
        if let Some(chunk) = cells[(top + row) * grid.width + left..].first_chunk() {
            *inside = chunk;
        }
    }
    patch
}

/// `Aᵀ m A` of tiles of one row and one block of output channels.
pub(super) struct OutputRow<'a> {
    pub(super) tile: Tile,
    pub(super) products: &'a [f32], // [place][tile][32]
    pub(super) place_stride: usize,
    pub(super) tiles: usize,
    /// Cells in a row of `out`.
    pub(super) width: usize,
    pub(super) bias: &'a [f32; BLOCK],
    /// Whether they are added to what `out` holds.
    pub(super) add: bool,
    pub(super) out: &'a mut [[f32; BLOCK]], // as many rows as there are
}

impl WithSimd for OutputRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.tile {
            Tile::Two => self.all::<S, 2, 4>(simd),
            Tile::Four => self.all::<S, 4, 6>(simd),
        }
    }
}

impl OutputRow<'_> {
    #[inline(always)]
    fn all<S: Simd, const OUTPUTS: usize, const SIDE: usize>(&mut self, simd: S) {
        for index in 0..self.tiles {
            let left = index * OUTPUTS;
            let products = &self.products[index * BLOCK..];
            for lane in 0..BLOCK / S::F32_LANES {
                let lane = OutputLane {
                    lane,
                    products,
                    place_stride: self.place_stride,
                    left,
                    width: self.width,
                    bias: self.bias,
                    add: self.add,
                    out: self.out,
                };
                BothSides::<S, SIDE, OUTPUTS>::run(lane, simd);
            }
        }
    }
}

struct OutputLane<'a> {
    lane: usize,
    products: &'a [f32],
    place_stride: usize,
    left: usize,
    width: usize,
    bias: &'a [f32; BLOCK],
    add: bool,
    out: &'a mut [[f32; BLOCK]],
}

impl<S: Simd, const SIDE: usize, const OUTPUTS: usize> BothSides<S, SIDE, OUTPUTS> for OutputLane<'_> {
    #[inline(always)]
    fn read(&self, row: usize, column: usize) -> S::f32s {
        let start = (row * SIDE + column) * self.place_stride;
        S::as_simd_f32s(&self.products[start..start + BLOCK]).0[self.lane]
    }

    #[inline(always)]
    fn transform(simd: S, column: [S::f32s; SIDE]) -> [S::f32s; OUTPUTS] {
        tile::output(simd, column)
    }

    #[inline(always)]
    fn write(&mut self, simd: S, row: usize, column: usize, numbers: S::f32s) {
        let x = self.left + column;
        let cell = row * self.width + x;
        if x < self.width && cell < self.out.len() {
            let numbers = simd.add_f32s(numbers, S::as_simd_f32s(self.bias).0[self.lane]);
            let out = &mut S::as_mut_simd_f32s(&mut self.out[cell]).0[self.lane];
            *out = if self.add { simd.add_f32s(*out, numbers) } else { numbers };
        }
    }
}
