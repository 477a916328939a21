//! Loops over neighbouring values, written so that they become vector instructions.
//!
//! The compiler uses a processor's own instructions only in what is inlined into [`vectorized!`]. So everything on the way is
//! `#[inline(always)]`, and arrays are filled in loops: `map` and `from_fn` may stay calls.

/// A body without arguments.
struct Call<F>(F);

impl<F: FnOnce() -> R, R> pulp::NullaryFnOnce for Call<F> {
    type Output = R;

    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}

/// Runs a closure that is always inlined, compiled for the best instructions that this processor has.
#[inline(always)]
pub(super) fn dispatch<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(Call(body))
}

/// The value of an expression, computed with the best instructions that this processor has.
macro_rules! vectorized {
    ($body:expr) => {
        $crate::lanes::dispatch(
            #[inline(always)]
            || $body,
        )
    };
}
pub(super) use vectorized;

/// `out[i] = f(inputs[..][i])`.
#[inline(always)]
pub(super) fn map<T: Copy, const K: usize>(out: &mut [T], inputs: [&[T]; K], f: impl Fn([T; K]) -> T) {
    update(
        out,
        inputs,
        #[inline(always)]
        |_, values| f(values),
    );
}

/// `out[i] = f(out[i], inputs[..][i])`.
#[expect(clippy::needless_range_loop, reason = "all slices are read at one index")]
#[inline(always)]
pub(super) fn update<T: Copy, const K: usize>(out: &mut [T], inputs: [&[T]; K], f: impl Fn(T, [T; K]) -> T) {
    let inputs = first(inputs, out.len());
    for i in 0..out.len() {
        out[i] = f(out[i], at(inputs, i, out[i]));
    }
}

/// `(a[i], b[i]) = f(a[i], b[i], inputs[..][i])`.
#[inline(always)]
pub(super) fn update_two<T: Copy, const K: usize>(
    a: &mut [T],
    b: &mut [T],
    inputs: [&[T]; K],
    f: impl Fn(T, T, [T; K]) -> (T, T),
) {
    let (inputs, b) = (first(inputs, a.len()), &mut b[..a.len()]);
    for i in 0..a.len() {
        (a[i], b[i]) = f(a[i], b[i], at(inputs, i, a[i]));
    }
}

/// The first `len` values of each input.
#[inline(always)]
fn first<T, const K: usize>(mut inputs: [&[T]; K], len: usize) -> [&[T]; K] {
    for input in &mut inputs {
        *input = &input[..len];
    }
    inputs
}

/// Every input's value `i`; `any` fills the array before.
#[inline(always)]
fn at<T: Copy, const K: usize>(inputs: [&[T]; K], i: usize, any: T) -> [T; K] {
    let mut values = [any; K];
    for k in 0..K {
        values[k] = inputs[k][i];
    }
    values
}
