//! A conv and its two gradients, by their definition; sums are f64.
//!
//! The `unsafe` is sound where callers keep cuDNN's contract: tensors lie at their addresses while the stream works on them.

use std::{
    borrow::Cow,
    ffi::{c_int, c_void},
};

use super::get;
use crate::numbers::{Type, add_rows, read, tf32, write};

pub const SUCCESS: c_int = 0;
pub const BAD_PARAM: c_int = 2000;
pub const FMA: c_int = 3; // CUDNN_FMA_MATH

/// N C H W, of a tensor's picture or a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Four {
    pub kind: c_int,
    pub last: bool,
    pub size: [usize; 4],
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Conv {
    pub pad: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub math: c_int,
}

/// A tensor at its place on the device.
#[derive(Clone, Copy)]
pub struct At {
    pub four: Four,
    pub address: usize,
}

impl At {
    pub unsafe fn new(descriptor: *mut c_void, address: usize) -> Self {
        Self { four: unsafe { get(descriptor) }, address }
    }

    pub fn kind(&self) -> Type {
        Type::of_cudnn(self.four.kind).expect("checked when it was set")
    }

    fn index(&self, [n, c, y, x]: [usize; 4]) -> usize {
        let [_, channels, height, width] = self.four.size;
        match self.four.last {
            true => ((n * height + y) * width + x) * channels + c,
            false => ((n * channels + c) * height + y) * width + x,
        }
    }

    /// The channels of a cell.
    fn cell<'a>(&self, numbers: &'a [f64], [n, y, x]: [usize; 3]) -> Cow<'a, [f64]> {
        let channels = self.four.size[1];
        match self.four.last {
            true => numbers[self.index([n, 0, y, x])..][..channels].into(),
            false => (0..channels).map(|channel| numbers[self.index([n, channel, y, x])]).collect(),
        }
    }

    unsafe fn read(&self, rounded: bool) -> Vec<f64> {
        let mut numbers = unsafe { read(self.address, self.kind(), self.four.size.iter().product()) };
        if rounded {
            numbers.iter_mut().for_each(|number| *number = tf32(*number));
        }
        numbers
    }

    unsafe fn write(&self, numbers: Vec<f64>) {
        unsafe { write(self.address, self.kind(), numbers.into_iter()) };
    }
}

/// A conv's three tensors, of which one is computed.
#[derive(Clone, Copy)]
pub struct Three {
    pub x: At,
    pub w: At,
    pub y: At,
    pub conv: Conv,
}

impl Three {
    pub fn check(&self) -> c_int {
        let ([n, c, h, w], [k, depth, r, s]) = (self.x.four.size, self.w.four.size);
        let Conv { pad, stride, dilation, .. } = self.conv;
        let out = |size: usize, kernel: usize, i: usize| {
            (size + 2 * pad[i] - dilation[i] * (kernel - 1) - 1) / stride[i] + 1
        };
        let expected = [n, k, out(h, r, 0), out(w, s, 1)];
        if depth != c || self.y.four.size != expected || self.x.four.kind != self.w.four.kind {
            eprintln!("cuda-on-cpu: a conv of {:?} by {:?} to {:?}", self.x.four, self.w.four, self.y.four);
            return BAD_PARAM;
        }
        SUCCESS
    }

    fn rounded(&self) -> bool {
        self.x.kind() == Type::F32 && self.conv.math != FMA
    }

    /// Tells `visit` every product of the conv: where in x, w and y, for all channels of y's cell at once.
    fn cells(&self, mut visit: impl FnMut([usize; 2], [usize; 2], [usize; 3])) {
        let ([n, _, height, width], [_, _, r, s]) = (self.x.four.size, self.w.four.size);
        let [_, _, rows, columns] = self.y.four.size;
        let Conv { pad, stride, dilation, .. } = self.conv;
        for (picture, row) in (0..n).flat_map(|picture| (0..rows).map(move |row| (picture, row))) {
            for (column, tap) in (0..columns).flat_map(|column| (0..r * s).map(move |tap| (column, tap))) {
                let (down, right) = (tap / s, tap % s);
                let y = (row * stride[0] + down * dilation[0]).wrapping_sub(pad[0]);
                let x = (column * stride[1] + right * dilation[1]).wrapping_sub(pad[1]);
                if y < height && x < width {
                    visit([y, x], [down, right], [picture, row, column]);
                }
            }
        }
    }

    /// The weights as (tap, in, out), and where they lie in memory.
    fn by_tap(&self) -> Vec<usize> {
        let [k, c, r, s] = self.w.four.size;
        let at = |i: usize| self.w.index([i % k, i / k % c, i / k / c / s, i / k / c % s]);
        (0..k * c * r * s).map(at).collect()
    }

    pub unsafe fn forward(&self, alpha: f64, onto: Option<(At, f64)>, bias: Option<At>) {
        let (x, w) = unsafe { (self.x.read(self.rounded()), self.w.read(self.rounded())) };
        let [k, c, _, s] = self.w.four.size;
        let w: Vec<f64> = self.by_tap().into_iter().map(|at| w[at]).collect();
        let bias = bias.map(|bias| unsafe { bias.read(false) });
        let onto = onto.map(|(at, factor)| (unsafe { at.read(false) }, factor));
        let mut sums = vec![0.0; self.y.four.size.iter().product()];
        let [_, _, rows, columns] = self.y.four.size;
        self.cells(|[y, x_at], [down, right], [n, row, column]| {
            let cell = ((n * rows + row) * columns + column) * k;
            let here = self.x.cell(&x, [n, y, x_at]);
            add_rows(&mut sums[cell..cell + k], &here, &w[(down * s + right) * c * k..][..c * k]);
        });
        let mut out = vec![0.0; sums.len()];
        for (i, sum) in sums.iter().enumerate() {
            let (channel, cell) = (i % k, i / k);
            let at = self.y.index([cell / columns / rows, channel, cell / columns % rows, cell % columns]);
            let bias = bias.as_ref().map_or(0.0, |bias| bias[channel]);
            // What is multiplied by 0 is not read.
            let onto = onto
                .as_ref()
                .filter(|(_, factor)| *factor != 0.0)
                .map_or(0.0, |(onto, factor)| factor * onto[at]);
            out[at] = alpha * sum + onto + bias;
        }
        unsafe { self.y.write(out) };
    }

    pub unsafe fn gradient_of_input(&self) {
        let (w, dy) = unsafe { (self.w.read(self.rounded()), self.y.read(self.rounded())) };
        let [k, c, _, s] = self.w.four.size;
        let w: Vec<f64> = self.by_tap().into_iter().map(|at| w[at]).collect();
        let mut dx = vec![0.0; self.x.four.size.iter().product()];
        self.cells(|[y, x], [down, right], [n, row, column]| {
            let gradients = self.y.cell(&dy, [n, row, column]);
            for channel in 0..c {
                let weights = &w[((down * s + right) * c + channel) * k..][..k];
                let sum: f64 =
                    weights.iter().zip(&*gradients).map(|(weight, gradient)| weight * gradient).sum();
                dx[self.x.index([n, channel, y, x])] += sum;
            }
        });
        unsafe { self.x.write(dx) };
    }

    pub unsafe fn gradient_of_weight(&self) {
        let (x, dy) = unsafe { (self.x.read(self.rounded()), self.y.read(self.rounded())) };
        let [k, c, r, s] = self.w.four.size;
        let mut sums = vec![0.0; k * c * r * s]; // (tap, in, out)
        self.cells(|[y, x_at], [down, right], [n, row, column]| {
            let gradients = self.y.cell(&dy, [n, row, column]);
            for channel in 0..c {
                let value = x[self.x.index([n, channel, y, x_at])];
                let sums = &mut sums[((down * s + right) * c + channel) * k..][..k];
                sums.iter_mut().zip(&*gradients).for_each(|(sum, gradient)| *sum += value * gradient);
            }
        });
        let mut dw = vec![0.0; sums.len()];
        self.by_tap().into_iter().zip(sums).for_each(|(at, sum)| dw[at] = sum);
        unsafe { self.w.write(dw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [usize; 4] = [2, 3, 5, 4];
    const W: [usize; 4] = [2, 3, 3, 3];
    const Y: [usize; 4] = [2, 2, 3, 2]; // stride 2, padding 1

    struct Case {
        x: Vec<f32>,
        w: Vec<f32>,
        y: Vec<f32>,
        last: bool,
    }

    impl Case {
        fn new(last: bool) -> Self {
            let numbers = |shape: [usize; 4], seed: usize| -> Vec<f32> {
                (0..shape.iter().product()).map(|i| ((i * 13 + seed) % 17) as f32 - 8.0).collect()
            };
            Self { x: numbers(X, 1), w: numbers(W, 2), y: numbers(Y, 3), last }
        }

        fn three(&mut self) -> Three {
            let at = |numbers: &mut Vec<f32>, size| At {
                four: Four { kind: 0, last: self.last, size },
                address: numbers.as_mut_ptr() as usize,
            };
            let conv = Conv { pad: [1; 2], stride: [2; 2], dilation: [1; 2], math: FMA };
            Three { x: at(&mut self.x, X), w: at(&mut self.w, W), y: at(&mut self.y, Y), conv }
        }

        /// Tells `visit` the places in x, w and y of every product.
        fn products(&mut self, mut visit: impl FnMut(&Self, [usize; 3])) {
            let three = self.three();
            for i in 0..Y.iter().product::<usize>() * W[1] * 9 {
                let (tap, rest) = (i % 9, i / 9);
                let (c, rest) = (rest % W[1], rest / W[1]);
                let [n, k, row, column] = [rest / 12 % 2, rest % 2, rest / 2 % 3, rest / 6 % 2];
                let (y, x) = (2 * row + tap / 3, 2 * column + tap % 3);
                if (1..=X[2]).contains(&y) && (1..=X[3]).contains(&x) {
                    let places = [
                        three.x.index([n, c, y - 1, x - 1]),
                        three.w.index([k, c, tap / 3, tap % 3]),
                        three.y.index([n, k, row, column]),
                    ];
                    visit(self, places);
                }
            }
        }
    }

    #[test]
    fn a_conv_and_its_gradients_are_their_definition() {
        for last in [true, false] {
            let mut case = Case::new(last);
            let three = case.three();
            assert_eq!(three.check(), SUCCESS);
            let mut sums = [vec![0.0; case.x.len()], vec![0.0; case.w.len()], vec![0.0; case.y.len()]];
            case.products(|case, [x, w, y]| {
                sums[0][x] += case.w[w] * case.y[y];
                sums[1][w] += case.x[x] * case.y[y];
                sums[2][y] += case.x[x] * case.w[w];
            });
            let [dx, dw, y] = sums;
            let (x_before, w_before) = (case.x.clone(), case.w.clone());
            unsafe { three.gradient_of_input() };
            assert_eq!(case.x, dx);
            case.x.copy_from_slice(&x_before);
            unsafe { three.gradient_of_weight() };
            assert_eq!(case.w, dw);
            case.w.copy_from_slice(&w_before);
            unsafe { three.forward(1.0, None, None) };
            assert_eq!(case.y, y);
        }
    }
}
