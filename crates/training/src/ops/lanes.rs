//! Loops over neighbouring values, written so that they become vector instructions.

/// Values that are handled side by side.
const LANES: usize = 16;

/// A body with its arguments.
struct Call<F, A>(F, A);

impl<F: FnOnce(A) -> R, A, R> pulp::NullaryFnOnce for Call<F, A> {
    type Output = R;

    #[inline(always)]
    fn call(self) -> R {
        (self.0)(self.1)
    }
}

/// Runs `body`, a function that is always inlined, compiled for the best instructions that this processor has.
#[inline]
pub(super) fn vectorized<A, R>(body: impl FnOnce(A) -> R, arguments: A) -> R {
    pulp::Arch::new().dispatch(Call(body, arguments))
}

/// `out[i] = f(inputs[..][i])`.
#[inline(always)]
pub(super) fn map<T: Copy, const K: usize>(out: &mut [T], inputs: [&[T]; K], f: impl Fn([T; K]) -> T) {
    update(out, inputs, |_, values| f(values));
}

/// `out[i] = f(out[i], inputs[..][i])`.
#[inline(always)]
pub(super) fn update<T: Copy, const K: usize>(out: &mut [T], inputs: [&[T]; K], f: impl Fn(T, [T; K]) -> T) {
    let inputs = inputs.map(|input| input[..out.len()].as_chunks::<LANES>());
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    for (index, block) in blocks.iter_mut().enumerate() {
        let values = inputs.map(|(blocks, _)| blocks[index]);
        let old = *block;
        *block = std::array::from_fn(|i| f(old[i], values.map(|values| values[i])));
    }
    for (index, value) in rest.iter_mut().enumerate() {
        *value = f(*value, inputs.map(|(_, rest)| rest[index]));
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
    let inputs = inputs.map(|input| input[..a.len()].as_chunks::<LANES>());
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks_mut::<LANES>(), b.as_chunks_mut::<LANES>());
    for (index, (a, b)) in a_blocks.iter_mut().zip(b_blocks).enumerate() {
        let values = inputs.map(|(blocks, _)| blocks[index]);
        let (old_a, old_b) = (*a, *b);
        for i in 0..LANES {
            (a[i], b[i]) = f(old_a[i], old_b[i], values.map(|values| values[i]));
        }
    }
    for (index, (a, b)) in a_rest.iter_mut().zip(b_rest).enumerate() {
        (*a, *b) = f(*a, *b, inputs.map(|(_, rest)| rest[index]));
    }
}
