//! 3×3 convs by Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308), F(2×2, 3×3) and F(4×4, 3×3).
//!
//! A tile of m×m outputs is `Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A`: m+2 squared products of channel vectors in place of 9·m². The products
//! at one place of all tiles are a matrix product. The transforms are those of the points 0, ±a, ±b and ∞, with numbers
//! that f32 holds exactly; a and b are chosen for small errors.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use spadework_model::Grid;

use super::{
    conv::Epilogue,
    features::{bordered, cells},
    network::Scratch,
};
use crate::{
    gemm::{Element, PackedMatrix, Rows, Store, elements, multiply},
    isa::BLOCK,
};

/// Numbers between the rows of a tile's places, so that neighbouring rows do not share a cache set.
const SKEW: usize = 16;
/// Tiles that one task multiplies: a panel is read once for all of them.
const GROUP: usize = 64;
/// Elements of transformed input that are held at once, so that they stay in the last-level cache.
const HELD: usize = 2 << 20;

/// Outputs on a tile's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    /// F(2×2, 3×3): 2.25 times fewer products, errors like those of a plain sum.
    Two,
    /// F(4×4, 3×3): 4 times fewer products.
    Four,
}

impl Tile {
    const fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Cells of input, and of products, on a tile's side.
    const fn side(self) -> usize {
        self.outputs() + 2
    }

    /// `G`: kernel to products, a row for each place.
    fn kernel_rows(self) -> &'static [[f64; 3]] {
        match self {
            Self::Two => &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Self::Four => &FOUR_KERNEL,
        }
    }
}

/// The points of F(4×4, 3×3) other than 0 and ∞ are ±A and ±B.
const A: f64 = 0.625;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;
const AT_A: f64 = 1.0 / (2.0 * AA * (AA - BB));
const AT_B: f64 = 1.0 / (2.0 * BB * (BB - AA));
const FOUR_KERNEL: [[f64; 3]; 6] = [
    [1.0 / (AA * BB), 0.0, 0.0],
    [AT_A, AT_A * A, AT_A * AA],
    [AT_A, -AT_A * A, AT_A * AA],
    [AT_B, AT_B * B, AT_B * BB],
    [AT_B, -AT_B * B, AT_B * BB],
    [0.0, 0.0, 1.0],
];

/// A packed 3×3 conv.
#[derive(Debug)]
pub(super) struct Winograd<E: Element> {
    instructions: E::Kernel,
    tile: Tile,
    input_blocks: usize,
    places: Vec<PackedMatrix<E>>, // input channels × output channels for each place of a tile
}

impl<E: Element> Winograd<E> {
    /// Transforms and packs `weight` (out, in, 3, 3).
    pub(super) fn new(
        instructions: E::Kernel,
        tile: Tile,
        (input, output): (usize, usize),
        weight: &[f32],
    ) -> Self {
        let (side, rows) = (tile.side(), tile.kernel_rows());
        let places = (0..side * side).map(|place| {
            let (left, right) = (rows[place / side], rows[place % side]);
            PackedMatrix::new(input.next_multiple_of(BLOCK), output, |channel, column| {
                if channel >= input {
                    return 0.0;
                }
                let kernel = &weight[(column * input + channel) * 9..][..9];
                let sum: f64 =
                    (0..9).map(|tap| left[tap / 3] * f64::from(kernel[tap]) * right[tap % 3]).sum();
                sum as f32
            })
        });
        Self { instructions, tile, input_blocks: input.div_ceil(BLOCK), places: places.collect() }
    }

    /// Elements of one tile's row at one place.
    fn stride(&self) -> usize {
        elements::<E>(self.input_blocks * BLOCK) + SKEW
    }

    /// Elements of working memory that [`run`](Self::run) needs for a map of `grid`.
    pub(super) fn held_len(&self, grid: Grid) -> usize {
        let layout = self.layout(grid);
        layout.groups_held * layout.rows_in_group * layout.row_len
    }

    fn layout(&self, grid: Grid) -> Layout {
        let outputs = self.tile.outputs();
        let (tile_rows, per_row) = (grid.height.div_ceil(outputs), grid.width.div_ceil(outputs));
        let rows_in_group = (GROUP / per_row).clamp(1, tile_rows);
        let row_len = self.places.len() * per_row * self.stride();
        let groups = tile_rows.div_ceil(rows_in_group);
        let groups_held = (HELD / (rows_in_group * row_len)).clamp(1, groups);
        Layout { tile_rows, per_row, rows_in_group, row_len, groups_held }
    }

    /// Convolves `input`, `[block][1 + row + 1][1 + column + 1][32]`, into `out`, `[block][row][column][32]`.
    ///
    /// `held` is working memory of at least [`held_len`](Self::held_len), `products` lends each thread its own.
    pub(super) fn run(
        &self,
        input: &[f32],
        epilogue: Epilogue<'_>,
        held: &mut [E],
        products: &Scratch,
        out: &mut [f32],
    ) {
        let grid = epilogue.grid;
        let layout = self.layout(grid);
        let group_len = layout.rows_in_group * layout.row_len;
        let cells_in_group = layout.rows_in_group * self.tile.outputs() * grid.width;
        let held = &mut held[..layout.groups_held * group_len];
        for first in (0..layout.tile_rows.div_ceil(layout.rows_in_group)).step_by(layout.groups_held) {
            let first_row = first * layout.rows_in_group;
            held.par_chunks_exact_mut(layout.row_len).enumerate().for_each(|(row, held)| {
                self.transform_input(epilogue, input, &layout, first_row + row, held);
            });
            let held = &*held;
            let planes = out.par_chunks_exact_mut(cells(grid) * BLOCK).enumerate();
            let tasks = planes.flat_map(|(block, plane)| {
                let groups = plane.par_chunks_mut(cells_in_group * BLOCK).enumerate();
                let held_groups = groups.skip(first).take(layout.groups_held);
                held_groups.map(move |(group, out)| (block, group, &held[(group - first) * group_len..], out))
            });
            tasks.for_each(|(block, group, held, out)| {
                let tiles = layout.rows_in_group * layout.per_row;
                products.with(self.places.len() * tiles * BLOCK, |products| {
                    self.multiply(block, &layout, held, products);
                    self.transform_output(epilogue, &layout, products, out);
                });
                epilogue.add(block, group * cells_in_group, out.as_chunks_mut().0);
            });
        }
    }

    /// Bᵀ x B of one row of tiles, `[place][tile][channel]`.
    fn transform_input(
        &self,
        Epilogue { isa, grid, .. }: Epilogue<'_>,
        input: &[f32],
        layout: &Layout,
        row: usize,
        held: &mut [E],
    ) {
        let (border, stride) = (bordered(grid), self.stride());
        let planes = input.chunks_exact(cells(border) * BLOCK).take(self.input_blocks);
        for (block, plane) in planes.enumerate() {
            isa.run(InputRow {
                tile: self.tile,
                cells: plane.as_chunks().0,
                grid: border,
                top: row * self.tile.outputs(),
                tiles: layout.per_row,
                stride,
                place_stride: layout.per_row * stride,
                out: &mut held[elements::<E>(block * BLOCK)..],
            });
        }
    }

    /// The products of a group with one block of output channels, `[place][tile][32]`.
    fn multiply(&self, block: usize, layout: &Layout, held: &[E], products: &mut [f32]) {
        let (stride, per_row) = (self.stride(), layout.per_row);
        let tiles = layout.rows_in_group * per_row;
        let starts: Vec<usize> =
            (0..tiles).map(|tile| tile / per_row * layout.row_len + tile % per_row * stride).collect();
        for (place, products) in products.chunks_exact_mut(tiles * BLOCK).enumerate() {
            let rows = Rows {
                values: held,
                starts: &starts,
                pieces: &[place * per_row * stride],
                length: stride - SKEW,
            };
            multiply(
                self.instructions,
                rows,
                self.places[place].panel(block),
                Store::Replace,
                products,
                BLOCK,
            );
        }
    }

    /// Aᵀ m A, into the cells of a group.
    fn transform_output(&self, epilogue: Epilogue<'_>, layout: &Layout, products: &[f32], out: &mut [f32]) {
        let width = epilogue.grid.width;
        for (row, out) in out.chunks_mut(self.tile.outputs() * width * BLOCK).enumerate() {
            epilogue.isa.run(OutputRow {
                tile: self.tile,
                products: &products.as_chunks().0[row * layout.per_row..],
                place_stride: layout.rows_in_group * layout.per_row,
                tiles: layout.per_row,
                width,
                add: epilogue.keeps_output(),
                out: out.as_chunks_mut().0,
            });
        }
    }
}

/// How a map is cut into rows of tiles, and these into groups.
struct Layout {
    tile_rows: usize,
    per_row: usize,
    rows_in_group: usize,
    row_len: usize, // elements of a row's transformed input
    groups_held: usize,
}

/// Bᵀ on the left of a column of vectors.
#[inline(always)]
fn input_transform<S: Simd, const SIDE: usize>(simd: S, x: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let mut y = x;
    if SIDE == Tile::Two.side() {
        y[0] = simd.sub_f32s(x[0], x[2]);
        y[1] = simd.add_f32s(x[1], x[2]);
        y[2] = simd.sub_f32s(x[2], x[1]);
        y[3] = simd.sub_f32s(x[1], x[3]);
    } else {
        let splat = |number: f64| simd.splat_f32s(number as f32);
        let (aa, bb) = (splat(-AA), splat(-BB));
        let (even_a, odd_a) = (simd.mul_add_e_f32s(bb, x[2], x[4]), simd.mul_add_e_f32s(bb, x[1], x[3]));
        let (even_b, odd_b) = (simd.mul_add_e_f32s(aa, x[2], x[4]), simd.mul_add_e_f32s(aa, x[1], x[3]));
        let (product, sum) = (splat(AA * BB), splat(-(AA + BB)));
        y[0] = simd.mul_add_e_f32s(product, x[0], simd.mul_add_e_f32s(sum, x[2], x[4]));
        y[1] = simd.mul_add_e_f32s(splat(A), odd_a, even_a);
        y[2] = simd.mul_add_e_f32s(splat(-A), odd_a, even_a);
        y[3] = simd.mul_add_e_f32s(splat(B), odd_b, even_b);
        y[4] = simd.mul_add_e_f32s(splat(-B), odd_b, even_b);
        y[5] = simd.mul_add_e_f32s(product, x[1], simd.mul_add_e_f32s(sum, x[3], x[5]));
    }
    y
}

/// Aᵀ on the left of a column of vectors: as many as a tile has outputs.
#[inline(always)]
fn output_transform<S: Simd, const SIDE: usize>(simd: S, m: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let mut y = m;
    if SIDE == Tile::Two.side() {
        y[0] = simd.add_f32s(simd.add_f32s(m[0], m[1]), m[2]);
        y[1] = simd.sub_f32s(simd.sub_f32s(m[1], m[2]), m[3]);
    } else {
        let splat = |number: f64| simd.splat_f32s(number as f32);
        let (sum_a, difference_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        y[0] = simd.add_f32s(m[0], simd.add_f32s(sum_a, sum_b));
        y[1] = simd.mul_add_e_f32s(splat(A), difference_a, simd.mul_f32s(splat(B), difference_b));
        y[2] = simd.mul_add_e_f32s(splat(AA), sum_a, simd.mul_f32s(splat(BB), sum_b));
        let odd = simd.mul_add_e_f32s(splat(BB * B), difference_b, m[5]);
        y[3] = simd.mul_add_e_f32s(splat(AA * A), difference_a, odd);
    }
    y
}

/// Rows of a tile's input.
type Patch<'a, const SIDE: usize> = [&'a [[f32; BLOCK]; SIDE]; SIDE];

/// The tiles of one row and one block of input channels.
struct InputRow<'a, E> {
    tile: Tile,
    cells: &'a [[f32; BLOCK]], // of the bordered plane
    grid: Grid,
    top: usize,
    tiles: usize,
    stride: usize,
    place_stride: usize,
    out: &'a mut [E],
}

impl<E: Element> WithSimd for InputRow<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.tile {
            Tile::Two => self.all::<S, 2, 4>(simd),
            Tile::Four => self.all::<S, 4, 6>(simd),
        }
    }
}

impl<E: Element> InputRow<'_, E> {
    #[inline(always)]
    fn all<S: Simd, const OUTPUTS: usize, const SIDE: usize>(&mut self, simd: S) {
        let mut copy = [[[0.0; BLOCK]; SIDE]; SIDE];
        let mut transformed = [[[0.0; BLOCK]; SIDE]; SIDE];
        for index in 0..self.tiles {
            let left = index * OUTPUTS;
            if self.top + SIDE <= self.grid.height && left + SIDE <= self.grid.width {
                transform_patch(simd, self.patch(left), &mut transformed);
            } else {
                self.copy_patch(left, &mut copy);
                transform_patch(simd, copy.each_ref(), &mut transformed);
            }
            for (place, numbers) in transformed.as_flattened().iter().enumerate() {
                let start = place * self.place_stride + index * self.stride;
                E::store(numbers, &mut self.out[start..start + elements::<E>(BLOCK)]);
            }
        }
    }

    /// A tile's input that lies inside the plane.
    #[inline(always)]
    fn patch<const SIDE: usize>(&self, left: usize) -> Patch<'_, SIDE> {
        let mut patch = [&[[0.0; BLOCK]; SIDE]; SIDE];
        for (row, cells) in patch.iter_mut().enumerate() {
            let start = (self.top + row) * self.grid.width + left;
            if let Some(inside) = self.cells[start..].first_chunk() {
                *cells = inside;
            }
        }
        patch
    }

    /// A tile's input that lies partly outside the plane, where it is zero.
    fn copy_patch<const SIDE: usize>(&self, left: usize, copy: &mut [[[f32; BLOCK]; SIDE]; SIDE]) {
        for (row, cells) in copy.iter_mut().enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                let (y, x) = (self.top + row, left + column);
                let inside = y < self.grid.height && x < self.grid.width;
                *cell = if inside { self.cells[y * self.grid.width + x] } else { [0.0; BLOCK] };
            }
        }
    }
}

/// Bᵀ x B.
#[inline(always)]
fn transform_patch<S: Simd, const SIDE: usize>(
    simd: S,
    patch: Patch<'_, SIDE>,
    out: &mut [[[f32; BLOCK]; SIDE]; SIDE],
) {
    let zero = simd.splat_f32s(0.0);
    for lane in 0..BLOCK / S::F32_LANES {
        let mut left = [[zero; SIDE]; SIDE]; // Bᵀ x, [row][column]
        for column in 0..SIDE {
            let mut x = [zero; SIDE];
            for row in 0..SIDE {
                x[row] = S::as_simd_f32s(&patch[row][column]).0[lane];
            }
            let y = input_transform(simd, x);
            for row in 0..SIDE {
                left[row][column] = y[row];
            }
        }
        for row in 0..SIDE {
            let y = input_transform(simd, left[row]);
            for column in 0..SIDE {
                S::as_mut_simd_f32s(&mut out[row][column]).0[lane] = y[column];
            }
        }
    }
}

/// The tiles of one row and one block of output channels.
struct OutputRow<'a> {
    tile: Tile,
    products: &'a [[f32; BLOCK]],
    place_stride: usize,
    tiles: usize,
    width: usize,
    add: bool,
    out: &'a mut [[f32; BLOCK]], // rows of `width`, as many as there are
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
        let mut outputs = [[[0.0; BLOCK]; OUTPUTS]; OUTPUTS];
        for index in 0..self.tiles {
            self.tile::<S, OUTPUTS, SIDE>(simd, index, &mut outputs);
            let left = index * OUTPUTS;
            for (row, outputs) in self.out.chunks_exact_mut(self.width).zip(&outputs) {
                for (cell, output) in row[left..].iter_mut().zip(outputs) {
                    if self.add {
                        for c in 0..BLOCK {
                            cell[c] += output[c];
                        }
                    } else {
                        *cell = *output;
                    }
                }
            }
        }
    }

    /// Aᵀ m A.
    #[expect(clippy::needless_range_loop, reason = "an iterator over vectors would keep them in memory")]
    #[inline(always)]
    fn tile<S: Simd, const OUTPUTS: usize, const SIDE: usize>(
        &self,
        simd: S,
        index: usize,
        out: &mut [[[f32; BLOCK]; OUTPUTS]; OUTPUTS],
    ) {
        let zero = simd.splat_f32s(0.0);
        for lane in 0..BLOCK / S::F32_LANES {
            let mut left = [[zero; SIDE]; OUTPUTS]; // Aᵀ m, [row][column]
            for column in 0..SIDE {
                let mut m = [zero; SIDE];
                for row in 0..SIDE {
                    let place = row * SIDE + column;
                    let cell = &self.products[place * self.place_stride + index];
                    m[row] = S::as_simd_f32s(cell).0[lane];
                }
                let y = output_transform(simd, m);
                for row in 0..OUTPUTS {
                    left[row][column] = y[row];
                }
            }
            for row in 0..OUTPUTS {
                let y = output_transform(simd, left[row]);
                for column in 0..OUTPUTS {
                    S::as_mut_simd_f32s(&mut out[row][column]).0[lane] = y[column];
                }
            }
        }
    }
}
