//! Nearest sampling as Pillow does it on files. (Inside the networks the rule is `floor(i * in / out)`.)

use crate::Size;

/// The source index of each of `to` places along an axis of `from`: `floor((i + 0.5) * from / to)`.
///
/// The position is a running sum of `from / to` because Pillow's is: where `(i + 0.5) * from / to` is a
/// whole number that the sum misses by a rounding, the sum decides. Sizes that are powers of two are exact.
pub(crate) fn sources(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    (0..to)
        .map(|_| {
            let source = (position as usize).min(from - 1);
            position += step;
            source
        })
        .collect()
}

/// `values` (row-major, of size `from`) sampled at `to`.
pub(crate) fn resample<T: Copy>(values: &[T], from: Size, to: Size) -> Vec<T> {
    if from == to {
        return values.to_vec();
    }
    let columns = sources(from.width, to.width);
    let mut out = Vec::with_capacity(to.width * to.height);
    for y in sources(from.height, to.height) {
        let row = &values[y * from.width..][..from.width];
        out.extend(columns.iter().map(|&x| row[x]));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halving_takes_the_second_of_each_pair() {
        assert_eq!(sources(8, 4), [1, 3, 5, 7]);
    }

    #[test]
    fn doubling_repeats_each_place() {
        assert_eq!(sources(3, 6), [0, 0, 1, 1, 2, 2]);
    }

    proptest! {
        #[test]
        fn powers_of_two_follow_the_formula_exactly(from in 1..5000usize, exponent in 0..10u32) {
            let to = 1 << exponent;
            let formula: Vec<_> = (0..to).map(|i| (2 * i + 1) * from / (2 * to)).collect();
            prop_assert_eq!(sources(from, to), formula);
        }

        #[test]
        fn every_source_exists_and_none_goes_back(from in 1..5000usize, to in 1..5000usize) {
            let sources = sources(from, to);
            prop_assert!(sources.iter().all(|&source| source < from));
            prop_assert!(sources.is_sorted());
        }
    }
}
