//! Whatever a lossless optimiser or editor does to a mask, it is read as the same ids or refused.

mod support;

use proptest::prelude::*;
use spadework_imaging::{LabelSet, MaskOptions, Size, palettes::voc_color};
use support::{Color, Png, ade20k, cityscapes, coco_stuff, labels, read_with, voc};

/// A lossless rewriting: another file of the same picture.
#[derive(Clone, Debug)]
enum Rewriting {
    /// Grey of 1, 2 or 4 bits, where the greys allow that.
    Packed(u8),
    Gray8,
    Gray16,
    GrayAlpha,
    Rgb8,
    Rgb16,
    Rgba,
    /// A palette of the colours in this order, padded to the number of entries.
    Indexed {
        order: Vec<u16>,
        padded: bool,
    },
}

fn rewriting() -> impl Strategy<Value = Rewriting> {
    let indexed = (prop::collection::vec(any::<u16>(), 16), any::<bool>());
    prop_oneof![
        2 => prop::sample::select(vec![1, 2, 4]).prop_map(Rewriting::Packed),
        1 => Just(Rewriting::Gray8),
        1 => Just(Rewriting::Gray16),
        1 => Just(Rewriting::GrayAlpha),
        1 => Just(Rewriting::Rgb8),
        1 => Just(Rewriting::Rgb16),
        1 => Just(Rewriting::Rgba),
        4 => indexed.prop_map(|(order, padded)| Rewriting::Indexed { order, padded }),
    ]
}

/// The picture `colors` as another file, or nothing where that form cannot hold it.
fn rewrite(size: Size, colors: &[[u8; 3]], rewriting: &Rewriting, interlaced: bool) -> Option<Png> {
    let is_gray = colors.iter().all(|[r, g, b]| r == g && g == b);
    let wide = |sample: u8| u16::from(sample) * 257;
    let grays = || colors.iter().map(|[gray, ..]| *gray);
    let png = match rewriting {
        Rewriting::Packed(bits) => {
            let step = 255 / ((1 << bits) - 1);
            let fits = is_gray && grays().all(|gray| u16::from(gray).is_multiple_of(step));
            fits.then(|| {
                Png::new(size, Color::Gray, *bits, grays().map(|gray| u16::from(gray) / step).collect())
            })?
        }
        Rewriting::Gray8 if is_gray => Png::new(size, Color::Gray, 8, grays().map(u16::from).collect()),
        Rewriting::Gray16 if is_gray => Png::new(size, Color::Gray, 16, grays().map(wide).collect()),
        Rewriting::GrayAlpha if is_gray => {
            Png::new(size, Color::GrayAlpha, 8, grays().flat_map(|gray| [u16::from(gray), 255]).collect())
        }
        Rewriting::Gray8 | Rewriting::Gray16 | Rewriting::GrayAlpha => return None,
        Rewriting::Rgb8 => Png::rgb(size, colors),
        Rewriting::Rgb16 => {
            Png::new(size, Color::Rgb, 16, colors.iter().flatten().map(|&sample| wide(sample)).collect())
        }
        Rewriting::Rgba => {
            let samples = colors.iter().flat_map(|&[r, g, b]| [r, g, b, 255].map(u16::from));
            Png::new(size, Color::Rgba, 8, samples.collect())
        }
        Rewriting::Indexed { order, padded } => {
            let mut palette: Vec<[u8; 3]> = colors.to_vec();
            palette.sort_unstable();
            palette.dedup();
            let mut keyed: Vec<_> =
                palette.iter().enumerate().map(|(i, color)| (order[i % order.len()], *color)).collect();
            keyed.sort_unstable();
            palette = keyed.into_iter().map(|(_, color)| color).collect();
            let index = |color| palette.iter().position(|other| *other == color);
            let indices =
                colors.iter().map(|&color| index(color).map(|i| i as u16)).collect::<Option<_>>()?;
            let bits = [1, 2, 4, 8].into_iter().find(|bits| palette.len() <= 1 << bits)?;
            if *padded {
                palette.resize(1 << bits, [0; 3]);
            }
            Png::new(size, Color::Indexed(palette), bits, indices)
        }
    };
    Some(Png { interlaced, ..png })
}

/// The models and whether each has instance edges.
fn models() -> Vec<(LabelSet, bool)> {
    vec![
        (cityscapes(), true),
        (ade20k(), false),
        (coco_stuff(), true),
        (voc(), false),
        (labels(14, false, (0..14).map(|id| (id, [10 * id, 200 - 5 * id, 90]))), false),
        (labels(4, true, []), false),
    ]
}

/// A model, a size, and a mask of it in ids.
fn masks() -> impl Strategy<Value = (usize, Size, Vec<u8>)> {
    let sizes = (1..9usize, 1..9usize);
    (
        0..models().len(),
        sizes,
        prop::collection::vec(any::<u16>(), 1..6),
        prop::collection::vec(any::<u16>(), 64),
    )
        .prop_map(|(model, (width, height), chosen, pixels)| {
            let (labels, _) = &models()[model];
            let classes = labels.classes() as u16;
            // Also 255, and small ids, which indices are too.
            let id = |choice: u16| match choice % 7 {
                0 if labels.unknown().is_some() => 255,
                1 | 2 => (choice / 7 % classes.min(6)) as u8,
                _ => (choice / 7 % classes) as u8,
            };
            let ids: Vec<u8> = chosen.into_iter().map(id).collect();
            let pixels = pixels.into_iter().take(width * height);
            let ids = pixels.map(|pixel| ids[usize::from(pixel) % ids.len()]).collect();
            (model, Size::new(width, height), ids)
        })
}

/// Reads `first`, and where that is possible every rewriting of it.
fn check(model: usize, size: Size, colors: &[[u8; 3]], first: &Png, rewritten: &[(Rewriting, bool)]) {
    let (labels, instance_edges) = &models()[model];
    let options = MaskOptions { instance_edges: *instance_edges, ..MaskOptions::default() };
    let Ok(original) = read_with(&first.write(), labels, size, options) else { return };
    for (rewriting, interlaced) in rewritten {
        let Some(png) = rewrite(size, colors, rewriting, *interlaced) else { continue };
        if let Ok(mask) = read_with(&png.write(), labels, size, options) {
            let (was, is) = (original.report.encoding, mask.report.encoding);
            assert_eq!(
                original.labels.ids(),
                mask.labels.ids(),
                "{was} became {is} by {rewriting:?}: {png:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_grey_mask_keeps_its_ids(
        (model, size, ids) in masks(),
        rewritten in prop::collection::vec((rewriting(), any::<bool>()), 6),
    ) {
        let colors: Vec<_> = ids.iter().map(|&id| [id; 3]).collect();
        let first = Png::gray(size, &ids);
        let (labels, instance_edges) = &models()[model];
        let options = MaskOptions { instance_edges: *instance_edges, ..MaskOptions::default() };
        if let Ok(mask) = read_with(&first.write(), labels, size, options) {
            let expected: Vec<u8> = ids
                .iter()
                .map(|&id| if id == 255 { labels.unknown().unwrap() } else { id })
                .collect();
            // Greys that are no ids can be the model's colours.
            prop_assert_eq!(mask.labels.ids(), &expected[..]);
        }
        check(model, size, &colors, &first, &rewritten);
    }

    #[test]
    fn a_mask_in_colours_keeps_its_labels(
        (model, size, ids) in masks(),
        rewritten in prop::collection::vec((rewriting(), any::<bool>()), 6),
    ) {
        let (labels, _) = &models()[model];
        let color = |id: &u8| labels.label(*id).and_then(|label| label.color).unwrap_or_default();
        let colors: Vec<_> = ids.iter().map(color).collect();
        check(model, size, &colors, &Png::rgb(size, &colors), &rewritten);
    }

    #[test]
    fn a_mask_in_any_colours_keeps_its_labels(
        model in 0..6usize,
        palette in prop::collection::vec(any::<[u8; 3]>(), 1..5),
        pixels in prop::collection::vec(any::<u8>(), 16),
        first in rewriting(),
        rewritten in prop::collection::vec((rewriting(), any::<bool>()), 6),
    ) {
        let size = Size::new(4, 4);
        // Small values are ids in one channel, by chance.
        let color = |&pixel: &u8| {
            let color = palette[usize::from(pixel) % palette.len()];
            if pixel > 127 { [color[0] % 8, 0, 0] } else { color }
        };
        let colors: Vec<_> = pixels.iter().map(color).collect();
        if !matches!(first, Rewriting::Indexed { .. })
            && let Some(first) = rewrite(size, &colors, &first, false)
        {
            check(model, size, &colors, &first, &rewritten);
        }
    }

    /// Depth, interlace and padding change neither indices nor palette, whatever the palette is.
    #[test]
    fn an_indexed_mask_keeps_its_ids(
        model in 0..6usize,
        palette in prop::collection::vec(0..40usize, 1..17),
        kind in 0..4usize,
        pixels in prop::collection::vec(any::<u8>(), 16),
        interlaced in any::<bool>(),
    ) {
        let (labels, instance_edges) = &models()[model];
        let options = MaskOptions { instance_edges: *instance_edges, ..MaskOptions::default() };
        let size = Size::new(4, 4);
        // Label colours, VOC's, greys, or few colours that are no label's; entries may repeat.
        let color = |&entry: &usize| match kind {
            0 => labels.label(entry as u8).and_then(|label| label.color).unwrap_or_default(),
            1 => voc_color(entry as u8),
            2 => [6 * entry as u8; 3],
            _ => [[0; 3], [3, 90, 201], [77, 5, 140]][entry % 3],
        };
        let palette: Vec<[u8; 3]> = palette.iter().map(color).collect();
        let indices: Vec<u8> = pixels.iter().map(|pixel| pixel % palette.len() as u8).collect();
        let first = read_with(&Png::indexed(size, 8, &palette, &indices).write(), labels, size, options);
        let Ok(first) = first else { return Ok(()) };
        for bits in [1, 2, 4, 8].into_iter().filter(|bits| palette.len() <= 1 << bits) {
            for padding in [palette.len(), 1 << bits] {
                let mut padded = palette.clone();
                padded.resize(padding, [0; 3]);
                let png = Png { interlaced, ..Png::indexed(size, bits, &padded, &indices) };
                if let Ok(mask) = read_with(&png.write(), labels, size, options) {
                    prop_assert_eq!(first.labels.ids(), mask.labels.ids(), "{:?}", png);
                }
            }
        }
    }
}
