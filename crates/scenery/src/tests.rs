use super::*;

#[test]
fn a_seed_decides_every_pixel() {
    let (one, two) = (Landscape::of(5), Landscape::of(5));
    assert_eq!(one.labels(), two.labels());
    assert_eq!(one.paint(Mood::Golden, 9), two.paint(Mood::Golden, 9));
    assert_ne!(one.labels(), Landscape::of(6).labels());
}

#[test]
fn moods_and_style_seeds_change_the_light_and_not_the_layout() {
    let landscape = Landscape::of(11);
    let pictures: Vec<_> = Mood::ALL.map(|mood| landscape.paint(mood, 3)).into();
    for (i, picture) in pictures.iter().enumerate() {
        assert!(pictures[..i].iter().all(|other| distance(picture, other) > 8.0));
    }
    assert!(distance(&pictures[0], &landscape.paint(Mood::Day, 4)) > 1.0);
    assert_eq!(landscape.labels(), Landscape::of(11).labels());
}

#[test]
fn every_class_is_seen_often() {
    let mut pixels = [0usize; CLASSES.len()];
    let mut pictures = [0usize; CLASSES.len()];
    const COUNT: usize = 60;
    for seed in 0..COUNT as u64 {
        let labels = Landscape::of(seed).labels();
        for (class, (pixels, pictures)) in pixels.iter_mut().zip(&mut pictures).enumerate() {
            let here = labels.ids().iter().filter(|&&id| usize::from(id) == class).count();
            *pixels += here;
            *pictures += usize::from(here > 200);
        }
    }
    for ((name, _), (pixels, pictures)) in CLASSES.iter().zip(pixels.into_iter().zip(pictures)) {
        let share = pixels as f64 / (COUNT * SIDE * SIDE) as f64;
        assert!(
            share > 0.01 && pictures * 12 > COUNT,
            "{name}: {share:.4} of pixels, in {pictures} of {COUNT}"
        );
    }
}

#[test]
fn a_brush_keeps_most_pixels_and_fewer_edges() {
    let landscape = Landscape::of(3);
    let (exact, brushed) = (landscape.labels(), landscape.brushed_labels(8));
    let same = exact.ids().iter().zip(brushed.ids()).filter(|(a, b)| a == b).count();
    assert!(same * 100 > 80 * exact.ids().len(), "{same} pixels stay");
    assert!(edges(&brushed) * 4 < edges(&exact) * 3, "{} of {} edges", edges(&brushed), edges(&exact));
    assert_eq!(brushed, landscape.brushed_labels(8));
}

/// Mean difference of bytes.
fn distance(one: &RgbImage, other: &RgbImage) -> f64 {
    let sum: u64 = one.pixels().iter().zip(other.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.pixels().len() as f64
}

/// Neighbours in a row of different classes.
fn edges(labels: &LabelMap) -> usize {
    labels.ids().chunks(SIDE).map(|row| row.windows(2).filter(|pair| pair[0] != pair[1]).count()).sum()
}
