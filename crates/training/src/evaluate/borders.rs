//! Rims: whether an image is brighter or darker just outside a thing's border than a little farther off. A network that
//! has learnt doubtful borders paints one around clouds, trees and mountains.

use spadework_imaging::{LabelMap, RgbImage};

/// Pixels outside a border that are near, and those that they are compared with.
const NEAR: std::ops::RangeInclusive<u32> = 1..=3;
const FAR: std::ops::RangeInclusive<u32> = 6..=10;
/// Pixels that each of the two must have for a comparison.
const LEAST: usize = 40;

/// The mean, over things and what lies outside them, of how much brighter or darker the near pixels are than the far
/// ones; in levels of a byte. `classes` are the things' ids. None where there is no border to look at.
pub fn rims<'a>(
    images: impl IntoIterator<Item = (&'a LabelMap, &'a RgbImage)>,
    classes: &[u8],
) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for (labels, image) in images {
        for &class in classes {
            for contrast in contrasts(labels, image, class) {
                sum += contrast.abs();
                count += 1;
            }
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Of each class that lies outside `class`: the mean brightness near the border less that farther off.
fn contrasts(labels: &LabelMap, image: &RgbImage, class: u8) -> Vec<f64> {
    let distances = distances(labels, class);
    let mut near = [(0.0, 0usize); 256];
    let mut far = [(0.0, 0usize); 256];
    for (i, distance) in distances.into_iter().enumerate() {
        let sums = match distance {
            distance if NEAR.contains(&distance) => &mut near,
            distance if FAR.contains(&distance) => &mut far,
            _ => continue,
        };
        let outside = &mut sums[usize::from(labels.ids()[i])];
        *outside = (outside.0 + brightness(image, i), outside.1 + 1);
    }
    let both = near.iter().zip(&far).filter(|(near, far)| near.1 >= LEAST && far.1 >= LEAST);
    both.map(|(near, far)| near.0 / near.1 as f64 - far.0 / far.1 as f64).collect()
}

fn brightness(image: &RgbImage, i: usize) -> f64 {
    let pixel = &image.pixels()[3 * i..3 * i + 3];
    0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2])
}

/// Steps to the sides from each pixel to the nearest of `class`; 0 on it, and no more than can be told apart.
fn distances(labels: &LabelMap, class: u8) -> Vec<u32> {
    let (width, height) = (labels.width(), labels.height());
    let far = FAR.end() + 1;
    let mut d: Vec<u32> = labels.ids().iter().map(|&id| if id == class { 0 } else { far }).collect();
    for i in 0..width * height {
        let before = |near: bool, back: usize| if near { d[i - back] + 1 } else { far };
        d[i] = d[i].min(before(i % width > 0, 1)).min(before(i >= width, width));
    }
    for i in (0..width * height).rev() {
        let after = |near: bool, on: usize| if near { d[i + on] + 1 } else { far };
        d[i] = d[i].min(after(i % width + 1 < width, 1)).min(after(i + width < width * height, width));
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;

    /// A square of class 1 in class 0, and an image whose ring around it has `rim` more light.
    fn ringed(rim: u8) -> (LabelMap, RgbImage) {
        let inside = |x: usize, y: usize, by: usize| {
            (24 - by..40 + by).contains(&x) && (24 - by..40 + by).contains(&y)
        };
        let at = |i: usize| (i % SIDE, i / SIDE);
        let ids = (0..SIDE * SIDE).map(at).map(|(x, y)| u8::from(inside(x, y, 0))).collect();
        let light = |(x, y): (usize, usize)| match (inside(x, y, 0), inside(x, y, 3)) {
            (true, _) => 200,
            (false, true) => 90 + rim,
            (false, false) => 90,
        };
        let pixels = (0..SIDE * SIDE).map(at).flat_map(|place| [light(place); 3]).collect();
        (LabelMap::new(SIDE, SIDE, ids, 2).unwrap(), RgbImage::new(SIDE, SIDE, pixels).unwrap())
    }

    #[test]
    fn a_rim_is_what_the_ring_has_more_and_the_thing_itself_does_not_count() {
        for rim in [0, 20, 60] {
            let (labels, image) = ringed(rim);
            let found = rims([(&labels, &image)], &[1]).unwrap();
            assert!((found - f64::from(rim)).abs() < 0.12 * f64::from(rim) + 1e-9, "{found} of {rim}");
        }
    }

    #[test]
    fn without_the_class_there_is_nothing_to_measure() {
        let (labels, image) = ringed(20);
        assert_eq!(rims([(&labels, &image)], &[7]), None);
    }
}
