//! Tiles and their one-dimensional transforms: those of the points 0, ±a, ±b and ∞, with numbers that f32 holds exactly;
//! a and b are chosen for small errors.

use pulp::Simd;
use spadework_kernels::cpu::mul_add;

/// Outputs on a tile's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Tile {
    /// F(2×2, 3×3): 2.25 times fewer products, errors like those of a plain sum.
    Two,
    /// F(4×4, 3×3): 4 times fewer products.
    Four,
}

impl Tile {
    pub(super) const fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Cells of input, and of products, on a tile's side.
    pub(super) const fn side(self) -> usize {
        self.outputs() + 2
    }

    /// Places of a tile: its products of channel vectors.
    pub(super) const fn places(self) -> usize {
        self.side() * self.side()
    }
}

/// The points of F(4×4, 3×3) other than 0 and ∞ are ±A and ±B.
const A: f64 = 0.625;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;
const AT_0: f64 = 1.0 / (AA * BB);
const AT_A: f64 = 1.0 / (2.0 * AA * (AA - BB));
const AT_B: f64 = 1.0 / (2.0 * BB * (BB - AA));

/// `G` on the left of a column of vectors.
#[inline(always)]
pub(super) fn kernel<S: Simd, const SIDE: usize>(simd: S, w: [S::f32s; 3]) -> [S::f32s; SIDE] {
    let splat = |number: f64| simd.splat_f32s(number as f32);
    let mut y = [w[0]; SIDE];
    if SIDE == Tile::Two.side() {
        let (half, middle) = (splat(0.5), simd.mul_f32s(splat(0.5), w[1]));
        let ends = simd.mul_f32s(half, simd.add_f32s(w[0], w[2]));
        y[1] = simd.add_f32s(ends, middle);
        y[2] = simd.sub_f32s(ends, middle);
        y[3] = w[2];
    } else {
        y[0] = simd.mul_f32s(splat(AT_0), w[0]);
        let even = simd.mul_f32s(splat(AT_A), mul_add(simd, splat(AA), w[2], w[0]));
        y[1] = mul_add(simd, splat(AT_A * A), w[1], even);
        y[2] = mul_add(simd, splat(-AT_A * A), w[1], even);
        let even = simd.mul_f32s(splat(AT_B), mul_add(simd, splat(BB), w[2], w[0]));
        y[3] = mul_add(simd, splat(AT_B * B), w[1], even);
        y[4] = mul_add(simd, splat(-AT_B * B), w[1], even);
        y[5] = w[2];
    }
    y
}

/// Bᵀ on the left of a column of vectors.
#[inline(always)]
pub(super) fn input<S: Simd, const SIDE: usize>(simd: S, x: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let mut y = x;
    if SIDE == Tile::Two.side() {
        y[0] = simd.sub_f32s(x[0], x[2]);
        y[1] = simd.add_f32s(x[1], x[2]);
        y[2] = simd.sub_f32s(x[2], x[1]);
        y[3] = simd.sub_f32s(x[1], x[3]);
    } else {
        let splat = |number: f64| simd.splat_f32s(number as f32);
        let (aa, bb) = (splat(-AA), splat(-BB));
        let (even_a, odd_a) = (mul_add(simd, bb, x[2], x[4]), mul_add(simd, bb, x[1], x[3]));
        let (even_b, odd_b) = (mul_add(simd, aa, x[2], x[4]), mul_add(simd, aa, x[1], x[3]));
        let (product, sum) = (splat(AA * BB), splat(-(AA + BB)));
        y[0] = mul_add(simd, product, x[0], mul_add(simd, sum, x[2], x[4]));
        y[1] = mul_add(simd, splat(A), odd_a, even_a);
        y[2] = mul_add(simd, splat(-A), odd_a, even_a);
        y[3] = mul_add(simd, splat(B), odd_b, even_b);
        y[4] = mul_add(simd, splat(-B), odd_b, even_b);
        y[5] = mul_add(simd, product, x[1], mul_add(simd, sum, x[3], x[5]));
    }
    y
}

/// Aᵀ on the left of a column of vectors: as many as a tile has outputs.
#[inline(always)]
pub(super) fn output<S: Simd, const SIDE: usize, const OUTPUTS: usize>(
    simd: S,
    m: [S::f32s; SIDE],
) -> [S::f32s; OUTPUTS] {
    let mut y = [m[0]; OUTPUTS];
    if SIDE == Tile::Two.side() {
        y[0] = simd.add_f32s(simd.add_f32s(m[0], m[1]), m[2]);
        y[1] = simd.sub_f32s(simd.sub_f32s(m[1], m[2]), m[3]);
    } else {
        let splat = |number: f64| simd.splat_f32s(number as f32);
        let (sum_a, difference_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        y[0] = simd.add_f32s(m[0], simd.add_f32s(sum_a, sum_b));
        y[1] = mul_add(simd, splat(A), difference_a, simd.mul_f32s(splat(B), difference_b));
        y[2] = mul_add(simd, splat(AA), sum_a, simd.mul_f32s(splat(BB), sum_b));
        let odd = mul_add(simd, splat(BB * B), difference_b, m[5]);
        y[3] = mul_add(simd, splat(AA * A), difference_a, odd);
    }
    y
}
