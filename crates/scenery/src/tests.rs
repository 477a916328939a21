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
    let images: Vec<_> = Mood::ALL.map(|mood| landscape.paint(mood, 3)).into();
    for (i, image) in images.iter().enumerate() {
        assert!(images[..i].iter().all(|other| distance(image, other) > 8.0));
    }
    assert!(distance(&images[0], &landscape.paint(Mood::Day, 4)) > 1.0);
    assert_eq!(landscape.labels(), Landscape::of(11).labels());
}

#[test]
fn every_class_is_seen_often() {
    let mut pixels = [0usize; CLASSES.len()];
    let mut images = [0usize; CLASSES.len()];
    const COUNT: usize = 60;
    for seed in 0..COUNT as u64 {
        let labels = Landscape::of(seed).labels();
        for (class, (pixels, images)) in pixels.iter_mut().zip(&mut images).enumerate() {
            let here = labels.ids().iter().filter(|&&id| usize::from(id) == class).count();
            *pixels += here;
            *images += usize::from(here > 200);
        }
    }
    for ((name, _), (pixels, images)) in CLASSES.iter().zip(pixels.into_iter().zip(images)) {
        let share = pixels as f64 / (COUNT * SIDE * SIDE) as f64;
        assert!(share > 0.01 && images * 12 > COUNT, "{name}: {share:.4} of pixels, in {images} of {COUNT}");
    }
}

#[test]
fn a_painted_landscape_is_its_seed_s_and_of_few_plain_shapes() {
    let landscape = Landscape::painted(5);
    assert_eq!(landscape.labels(), Landscape::painted(5).labels());
    assert_eq!(landscape.paint(Mood::Day, 2), Landscape::painted(5).paint(Mood::Day, 2));
    let count =
        |labels: fn(u64) -> Landscape| (0..12).map(|seed| edges(&labels(seed).labels())).sum::<usize>();
    let (painted, rendered) = (count(Landscape::painted), count(Landscape::of));
    assert!(3 * painted < 2 * rendered, "{painted} edges in painted maps, {rendered} in others");
}

/// The label is what is seen: where cloud hides most of the sky, the image is nearer to the cloud's colour than to
/// the clear sky's, and the other way round just outside.
#[test]
fn cloud_is_labelled_from_where_it_hides_half_of_the_sky() {
    assert!((clouds::opacity(clouds::HALF) - 0.5).abs() < 0.01);
    let mut seen = 0;
    for seed in 0..14 {
        let landscape = Landscape::of(seed);
        let cells = landscape.scene.surface.cells();
        for (i, cell) in
            cells.iter().enumerate().filter(|(_, cell)| cell.material == surface::Material::Cloud)
        {
            let labelled = landscape.labels[i / camera::GRID / 2 * SIDE + i % camera::GRID / 2];
            if cell.class.is_sky() && (clouds::opacity(cell.tone) - 0.5).abs() > 0.05 {
                let expected = if clouds::opacity(cell.tone) > 0.5 { Class::Clouds } else { Class::Sky };
                assert_eq!(cell.class, expected);
                seen += usize::from(labelled == expected.id());
            }
        }
    }
    assert!(seen > 4_000, "{seen} cells of cloud");
}

#[test]
fn guides_are_of_the_image_that_they_come_with() {
    let landscape = Landscape::of(4);
    let (image, guides) = landscape.paint_with_guides(Mood::Day, 2);
    assert_eq!(image, landscape.paint(Mood::Day, 2));
    let sky = landscape.labels.iter().position(|&id| id == Class::Sky.id()).unwrap();
    assert_eq!(guides.nearness[sky], 0.0);
    let airy = [surface::Material::Sky, surface::Material::Cloud].map(|material| material as u8);
    assert!(airy.contains(&guides.materials[sky]), "thin cloud is sky too");
    let length = |n: &[f32; 3]| n.iter().map(|v| v * v).sum::<f32>();
    assert!(guides.normals.iter().all(|normal| (length(normal) - 1.0).abs() < 1e-3));
    assert!(guides.light.iter().any(|&light| light < 0.1) && guides.light.iter().any(|&light| light > 0.6));
}

/// Brightness between a pixel and its right neighbour, where both are deep in one label: a grain of single pixels
/// would change the sign of the difference at every step.
#[test]
fn images_have_no_noise_of_single_pixels() {
    let (mut alternating, mut smooth) = (0.0, 0.0);
    for seed in 0..12 {
        let landscape = if seed % 2 == 0 { Landscape::of(seed) } else { Landscape::painted(seed) };
        let image = landscape.paint(Mood::Day, seed);
        let light = |i: usize| image.pixels()[3 * i..3 * i + 3].iter().map(|v| f64::from(*v)).sum::<f64>();
        for i in (0..SIDE * SIDE - 4).filter(|i| i % SIDE < SIDE - 4) {
            let [a, b, c, d] = [light(i), light(i + 1), light(i + 2), light(i + 3)];
            // The filters with all their gain at the finest and at half of that frequency.
            alternating += (a - b + c - d).abs();
            smooth += (a + b - c - d).abs();
        }
    }
    assert!(1.5 * alternating < smooth, "{alternating:.0} of {smooth:.0}");
}

/// The class that the image shows is the one that was painted, but for frayed edges.
#[test]
fn a_painted_map_and_its_image_agree() {
    let (mut agree, mut all) = (0usize, 0usize);
    for seed in 0..16 {
        let landscape = Landscape::painted(seed);
        let shown = landscape.scene.surface.classes();
        all += shown.len();
        agree += shown.iter().zip(&landscape.labels).filter(|(a, b)| a == b).count();
    }
    assert!(agree as f64 > 0.97 * all as f64, "{agree} of {all} pixels");
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
