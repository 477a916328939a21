//! Smooth noise over the plane, the material of ridges, clouds, ripples and stones.

use rand::Rng;
use rand::RngExt as _;

/// Lattice cells before the noise repeats, in each direction; a power of two.
const PERIOD: usize = 128;

/// Value noise on a random lattice: smooth, within [-1, 1], the same wherever it is asked twice.
#[derive(Clone)]
pub(crate) struct Noise {
    lattice: Vec<f32>,
}

impl Noise {
    /// A lattice drawn from `random`.
    pub(crate) fn new(random: &mut impl Rng) -> Self {
        Self { lattice: (0..PERIOD * PERIOD).map(|_| random.random_range(-1.0..=1.0)).collect() }
    }

    /// The noise at a point; features are about one unit wide.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let ((column, tx), (row, ty)) = (split(x), split(y));
        let (left, right) = (wrap(column), wrap(column + 1));
        let (above, below) = (PERIOD * wrap(row), PERIOD * wrap(row + 1));
        let lattice = &self.lattice;
        let upper = lattice[above + left] + tx * (lattice[above + right] - lattice[above + left]);
        let lower = lattice[below + left] + tx * (lattice[below + right] - lattice[below + left]);
        upper + ty * (lower - upper)
    }

    /// Octaves of noise, each half as large and about twice as fine; `octaves` may be fractional, which fades the last
    /// one in.
    pub(crate) fn fbm(&self, x: f32, y: f32, octaves: f32) -> f32 {
        self.sum(x, y, octaves, |value| value)
    }

    /// Octaves of creased noise: sharp crests at 1, rounded valleys below.
    pub(crate) fn ridged(&self, x: f32, y: f32, octaves: f32) -> f32 {
        self.sum(x, y, octaves, |value| 1.0 - 2.0 * (1.6 * value).abs().min(1.0))
    }

    fn sum(&self, mut x: f32, mut y: f32, octaves: f32, shape: impl Fn(f32) -> f32) -> f32 {
        let (mut sum, mut amplitude, mut left) = (0.0, 0.5, octaves.max(0.0));
        while left > 0.0 {
            sum += amplitude * left.min(1.0) * shape(self.at(x, y));
            // Turned by an angle without symmetry and scaled by two, so that lattices never line up.
            (x, y) = (1.6 * x - 1.2 * y + 17.3, 1.2 * x + 1.6 * y - 9.1);
            amplitude *= 0.5;
            left -= 1.0;
        }
        sum
    }
}

/// How many octaves, from features `wavelength` wide, stay at least two pixels wide when a pixel covers `footprint`.
pub(crate) fn octaves(wavelength: f32, footprint: f32, most: f32) -> f32 {
    (wavelength / (2.0 * footprint)).log2().clamp(0.0, most)
}

/// 0 below `from`, 1 above `to`, smooth between; `from` may lie above `to`.
pub(crate) fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The lattice line at or below `x`, and how far `x` lies past it, eased by a quintic so that slopes are smooth too.
fn split(x: f32) -> (i32, f32) {
    // `f32::floor` is a call where the processor is not known to have the instruction.
    let toward_zero = x as i32;
    let line = toward_zero - i32::from(toward_zero as f32 > x);
    let t = x - line as f32;
    (line, t * t * t * (t * (t * 6.0 - 15.0) + 10.0))
}

fn wrap(line: i32) -> usize {
    (line & (PERIOD as i32 - 1)) as usize
}
