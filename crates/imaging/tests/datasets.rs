//! Ten masks of each data set, in the forms in which it and its tools write them, and what they must be read as.

mod support;

use spadework_imaging::{
    LabelSet, MaskEncoding, MaskOptions, Size,
    palettes::{ADE20K, CITYSCAPES, COCO_STUFF, voc_color},
};
use support::{Color, Png, ade20k, cityscapes, coco_stuff, labels, read_with, voc};

const SIZE: Size = Size::new(24, 12);
const MASKS: usize = 10;

/// Mask `seed`: bands of a few of the data set's values.
fn bands(seed: usize, values: &[u8]) -> Vec<u8> {
    let value = |pixel: usize| {
        let (x, y) = (pixel % SIZE.width, pixel / SIZE.width);
        let band = (x + seed) / 7 + 3 * (y / 5);
        values[(band * (2 * seed + 3) + seed) % values.len()]
    };
    (0..SIZE.width * SIZE.height).map(value).collect()
}

/// Reads `png` and checks the class of every pixel, and how it was read.
fn check(png: &Png, labels: &LabelSet, options: MaskOptions, ids: &[u8], encoding: MaskEncoding) {
    let mask = read_with(&png.write(), labels, SIZE, options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(mask.labels.ids(), ids);
    assert_eq!(mask.report.encoding, encoding);
    assert_eq!(mask.report.unmatched, 0);
}

fn plain(png: &Png, labels: &LabelSet, ids: &[u8], encoding: MaskEncoding) {
    check(png, labels, MaskOptions::default(), ids, encoding);
}

#[test]
fn coco_stuff_s_maps_of_things_and_stuff() {
    // `stuffthingmaps`: 8-bit grey, ids from 0, 255 unlabeled.
    let values: Vec<u8> = (0..182).filter(|id| id % 3 > 0).chain([255]).collect();
    for seed in 0..MASKS {
        let ids = bands(seed, &values);
        let expected: Vec<u8> = ids.iter().map(|&id| id.min(182)).collect();
        plain(&Png::gray(SIZE, &ids), &coco_stuff(), &expected, MaskEncoding::GrayIds);
    }
}

#[test]
fn coco_stuff_s_pixel_maps_of_the_api() {
    // Indexed by category, from 1; the palette is black for things and unlabeled.
    let mut palette = vec![[0; 3]; 92];
    palette.extend(COCO_STUFF);
    palette.resize(256, [0; 3]);
    let categories: Vec<u8> = (92..=182).chain([0]).collect();
    for seed in 0..MASKS {
        let categories = bands(seed, &categories);
        let expected: Vec<u8> = categories.iter().map(|&id| if id == 0 { 182 } else { id - 1 }).collect();
        let png = Png::indexed(SIZE, 8, &palette, &categories);
        plain(&png, &coco_stuff(), &expected, MaskEncoding::IndexedColors);
    }
}

#[test]
fn ade20k_s_annotations() {
    // SceneParsing: 8-bit grey, 0 other, 1 wall ... 150 flag.
    let values: Vec<u8> = (0..=150).collect();
    for seed in 0..MASKS {
        let ids = bands(seed, &values);
        plain(&Png::gray(SIZE, &ids), &ade20k(), &ids, MaskEncoding::GrayIds);
    }
}

#[test]
fn ade20k_s_colours() {
    // Skyscraper has road's colour; other is black.
    let values: Vec<u8> = (0..=150).filter(|&id| id != 49).collect();
    for seed in 0..MASKS {
        let ids = bands(seed, &values);
        let colors: Vec<_> =
            ids.iter().map(|&id| if id == 0 { [0; 3] } else { ADE20K[usize::from(id) - 1] }).collect();
        plain(&Png::rgb(SIZE, &colors), &ade20k(), &ids, MaskEncoding::RgbColors);
    }
}

#[test]
fn cityscapes_label_ids_and_colours() {
    for seed in 0..MASKS {
        let ids = bands(seed, &(0..34).collect::<Vec<_>>());
        plain(&Png::gray(SIZE, &ids), &cityscapes(), &ids, MaskEncoding::GrayIds);
        // `gtFine_color` is RGBA; classes 0 to 4 are black, and the pole group has the pole's colour.
        let ids = bands(seed, &[0, 5, 7, 8, 11, 17, 21, 23, 24, 26, 33]);
        let rgba =
            ids.iter().flat_map(|&id| CITYSCAPES[usize::from(id)].map(u16::from).into_iter().chain([255]));
        let png = Png::new(SIZE, Color::Rgba, 8, rgba.collect());
        plain(&png, &cityscapes(), &ids, MaskEncoding::RgbColors);
    }
}

#[test]
fn cityscapes_instance_ids() {
    let options = MaskOptions { instance_edges: true, ..MaskOptions::default() };
    for seed in 0..MASKS {
        let ids = bands(seed, &[7, 8, 11, 24, 26, 33]);
        // Things are `id * 1000 + k`, the rest is its id.
        let instance = |(i, &id): (usize, &u8)| {
            if id < 24 { u16::from(id) } else { u16::from(id) * 1000 + (i % 5) as u16 }
        };
        let values = ids.iter().enumerate().map(instance).collect();
        let png = Png::new(SIZE, Color::Gray, 16, values);
        check(&png, &cityscapes(), options, &ids, MaskEncoding::InstanceIds);
    }
}

#[test]
fn pascal_voc_s_segmentation_classes() {
    let palette: Vec<_> = (0..=255).map(voc_color).collect();
    let values: Vec<u8> = (0..21).chain([255]).collect();
    for seed in 0..MASKS {
        let ids = bands(seed, &values);
        let expected: Vec<u8> = ids.iter().map(|&id| id.min(21)).collect();
        let png = Png::indexed(SIZE, 8, &palette, &ids);
        plain(&png, &voc(), &expected, MaskEncoding::IndexedColors);
        // Another model's colours change nothing: the palette is VOC's by position.
        let other = labels(21, true, (0..21).map(|id| (id, [3 * id, 250 - id, 60])));
        plain(&png, &other, &expected, MaskEncoding::IndexedIds);
        let colors: Vec<_> = ids.iter().map(|&id| voc_color(id)).collect();
        plain(&Png::rgb(SIZE, &colors), &voc(), &expected, MaskEncoding::RgbColors);
    }
}

#[test]
fn carla_s_raw_tags() {
    // The camera's buffer as RGBA: the tag in red. Tags 0 to 28 are ids of a model of CARLA's own classes.
    let model = labels(29, false, []);
    for seed in 0..MASKS {
        let ids = bands(seed, &(0..29).collect::<Vec<_>>());
        let rgba = ids.iter().flat_map(|&id| [u16::from(id), 0, 0, 255]);
        let png = Png::new(SIZE, Color::Rgba, 8, rgba.collect());
        plain(&png, &model, &ids, MaskEncoding::RedIds);
        plain(&png, &cityscapes(), &ids, MaskEncoding::RedIds);
    }
}
