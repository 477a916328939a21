//! What decides how a mask is read, and what is refused because nothing does. Never a wrong class in silence.

mod support;

use spadework_imaging::{
    MaskEncoding, MaskError, MaskFormat, MaskOptions, Size,
    palettes::{ADE20K, CITYSCAPES, COCO_STUFF, voc_color},
};
use support::{
    Color, Png, ade20k, cityscapes, coco_stuff, ids_as, labels, read, read_as, read_with, refusal, voc,
};

const SIZE: Size = Size::new(4, 2);

fn grays(values: &[u8]) -> Vec<[u8; 3]> {
    values.iter().map(|&value| [value; 3]).collect()
}

/// Fills a mask of 4x2 with `values`, the last again and again.
fn fill<T: Copy>(values: &[T]) -> Vec<T> {
    (0..8).map(|i| values[i.min(values.len() - 1)]).collect()
}

fn indexed(palette: &[[u8; 3]], indices: &[u8]) -> Png {
    Png::indexed(SIZE, 8, palette, &fill(indices))
}

fn gray16(values: &[u16]) -> Png {
    Png::new(SIZE, Color::Gray, 16, fill(values))
}

fn rgb(colors: &[[u8; 3]]) -> Png {
    Png::rgb(SIZE, &fill(colors))
}

#[test]
fn the_greys_of_an_optimiser_s_palette_are_the_ids() {
    // As they were used, by falling grey, by frequency: what three optimisers leave of one grey mask.
    for order in [[7, 8, 11, 21, 23, 26], [26, 23, 21, 11, 8, 7], [26, 7, 8, 11, 21, 23]] {
        for bits in [4, 8] {
            let png = Png::indexed(SIZE, bits, &grays(&order), &fill(&[0, 1, 2, 3, 4, 5]));
            let read = ids_as(&png, &cityscapes(), MaskEncoding::IndexedGrays);
            assert_eq!(read[..6], order, "{bits} bits");
        }
    }
    // Padded to a power of two, as some writers do.
    let padded = indexed(&grays(&[13, 4, 8, 0, 0, 0, 0, 0]), &[0, 1, 2, 3]);
    assert_eq!(ids_as(&padded, &cityscapes(), MaskEncoding::IndexedGrays), fill(&[13, 4, 8, 0]));
}

#[test]
fn a_palette_that_repeats_its_indices_needs_no_decision() {
    let identity = grays(&(0..=255).collect::<Vec<_>>());
    let read = read(&indexed(&identity, &[7, 8, 26]), &cityscapes()).unwrap();
    assert_eq!(read.labels.ids(), fill(&[7, 8, 26]));
}

#[test]
fn a_grey_ramp_is_refused_where_indices_and_greys_are_both_ids() {
    let ramp = indexed(&grays(&[0, 50, 100, 150]), &[0, 1, 2, 3]);
    let text = refusal(&ramp, &coco_stuff());
    for part in [
        "palette indices 0, 1, 2, 3",
        "`mask_format=raw`",
        "grey values 0, 50, 100, 150",
        "`mask_format=shown`",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let raw = read_as(&ramp, &coco_stuff(), MaskFormat::Raw).unwrap();
    assert_eq!(raw.labels.ids(), fill(&[0, 1, 2, 3]));
    let shown = read_as(&ramp, &coco_stuff(), MaskFormat::Shown).unwrap();
    assert_eq!(shown.labels.ids(), fill(&[0, 50, 100, 150]));
}

#[test]
fn a_ramp_for_looking_at_is_read_by_index_where_its_greys_are_no_ids() {
    let ramp: Vec<u8> = (0..35).map(|id| (id * 255 / 34) as u8).collect();
    let png = indexed(&grays(&ramp), &[7, 8, 26, 33]);
    assert_eq!(ids_as(&png, &cityscapes(), MaskEncoding::IndexedIds), fill(&[7, 8, 26, 33]));
    // Every entry is used: it could be what an optimiser left of a mask with wrong ids.
    let text = refusal(&indexed(&grays(&[0, 100, 200]), &[0, 1, 2]), &cityscapes());
    assert!(text.contains("100") && text.contains("`mask_format=raw`"), "{text}");
}

#[test]
fn greys_that_are_no_ids_are_refused_in_an_optimiser_s_palette_too() {
    for palette in [[200, 4, 8], [8, 200, 4]] {
        let text = refusal(&indexed(&grays(&palette), &[0, 1, 2]), &cityscapes());
        assert!(text.contains("200 ("), "{text}");
    }
}

#[test]
fn packed_samples_are_refused_where_both_widths_are_ids() {
    let packed = |bits, values: &[u16]| Png::new(SIZE, Color::Gray, bits, fill(values));
    for (bits, values, stored, shown) in [
        (1, [0, 1, 1], "0, 1", "0, 255"),
        (2, [0, 1, 1], "0, 1", "0, 85"),
        (4, [1, 2, 3], "1, 2, 3", "17, 34, 51"),
    ] {
        let text = refusal(&packed(bits, &values), &coco_stuff());
        assert!(text.contains(stored) && text.contains(shown), "{text}");
    }
    // Where only one is a class, there is nothing to decide.
    let four = packed(4, &[0, 4, 8, 13]);
    assert_eq!(ids_as(&four, &labels(14, false, []), MaskEncoding::GrayIds), fill(&[0, 4, 8, 13]));
    assert_eq!(ids_as(&packed(1, &[0, 1]), &cityscapes(), MaskEncoding::GrayIds), fill(&[0, 1]));
    assert_eq!(ids_as(&packed(4, &[0, 0]), &coco_stuff(), MaskEncoding::GrayIds), fill(&[0]));
}

#[test]
fn sixteen_bits_that_repeat_eight_are_eight_bits() {
    for model in [cityscapes(), ade20k(), coco_stuff(), labels(14, false, [])] {
        let read = ids_as(&gray16(&[0, 4 * 257, 8 * 257, 13 * 257]), &model, MaskEncoding::WideGrays);
        assert_eq!(read, fill(&[0, 4, 8, 13]));
    }
    let wide = [[0, 0, 0], [4 * 257; 3], [13 * 257; 3]];
    let wide = Png::new(SIZE, Color::Rgb, 16, fill(&wide).concat());
    assert_eq!(ids_as(&wide, &cityscapes(), MaskEncoding::RgbIds), fill(&[0, 4, 13]));
    let colors = [CITYSCAPES[7], CITYSCAPES[26]].map(|color| color.map(|sample| u16::from(sample) * 257));
    let colors = Png::new(SIZE, Color::Rgb, 16, fill(&colors).concat());
    assert_eq!(ids_as(&colors, &cityscapes(), MaskEncoding::RgbColors), fill(&[7, 26]));
}

#[test]
fn sixteen_bit_ids_that_were_shifted_are_read_or_refused() {
    let shifted = gray16(&[0, 4 << 8, 13 << 8]);
    assert_eq!(ids_as(&shifted, &labels(14, false, []), MaskEncoding::WideGrays), fill(&[0, 4, 13]));
    // 1024 is also instance 24 of class 1.
    let options = MaskOptions { instance_edges: true, ..MaskOptions::default() };
    let error = read_with(&shifted.write(), &cityscapes(), SIZE, options).unwrap_err();
    assert!(matches!(error, MaskError::Ambiguous { .. }), "{error}");
}

#[test]
fn the_instance_form_is_read_for_a_model_with_instances_alone() {
    let values = [7, 24_001, 26_000, 26_017, 33_002];
    let options = MaskOptions { instance_edges: true, ..MaskOptions::default() };
    let mask = read_with(&gray16(&values).write(), &cityscapes(), SIZE, options).unwrap();
    assert_eq!(mask.report.encoding, MaskEncoding::InstanceIds);
    assert_eq!(mask.labels.ids(), fill(&[7, 24, 26, 26, 33]));
    assert_eq!(mask.instances.unwrap().ids()[..4], [7, 24_001, 26_000, 26_017]);
    let text = refusal(&gray16(&values), &ade20k());
    assert!(text.contains("33002") && text.contains("id * 1000 + k"), "{text}");
}

#[test]
fn ids_in_one_channel_are_read_from_it() {
    let encodings = [MaskEncoding::RedIds, MaskEncoding::GreenIds, MaskEncoding::BlueIds];
    for (channel, encoding) in encodings.into_iter().enumerate() {
        let color = |id: u8| {
            let mut color = [0; 3];
            color[channel] = id;
            color
        };
        for model in [cityscapes(), coco_stuff(), ade20k(), labels(14, false, [])] {
            let png = rgb(&[1, 2, 3, 7, 9, 11, 12].map(color));
            assert_eq!(ids_as(&png, &model, encoding), fill(&[1, 2, 3, 7, 9, 11, 12]));
        }
        let text = refusal(&rgb(&[color(0), color(40), color(3)]), &cityscapes());
        assert!(text.contains("only its") && text.contains("40 ("), "{text}");
    }
    let rgba = fill(&[[2, 0, 0, 255], [13, 0, 0, 255]]).concat();
    let rgba = Png::new(SIZE, Color::Rgba, 8, rgba);
    assert_eq!(ids_as(&rgba, &cityscapes(), MaskEncoding::RedIds), fill(&[2, 13]));
}

#[test]
fn label_colours_of_one_channel_are_colours() {
    // Car and truck are blue alone; the rider is red alone.
    let blue = rgb(&[CITYSCAPES[26], CITYSCAPES[27], [0; 3]]);
    assert_eq!(ids_as(&blue, &cityscapes(), MaskEncoding::RgbColors), fill(&[26, 27, 0]));
    let text = refusal(&rgb(&[[0; 3], [128, 0, 0]]), &ade20k());
    assert!(text.contains("PASCAL VOC"), "{text}");
}

#[test]
fn the_model_s_own_colours_are_read_though_they_are_grey() {
    // Wall and road are greys, 120 and 140, which are ids of ADE20K too.
    let wall_and_road = rgb(&[ADE20K[0], ADE20K[6]]);
    assert_eq!(ids_as(&wall_and_road, &ade20k(), MaskEncoding::RgbColors), fill(&[1, 7]));
    let text = refusal(&Png::gray(SIZE, &fill(&[120, 140])), &ade20k());
    assert!(text.contains("`mask_format=raw`") && text.contains("`mask_format=colors`"), "{text}");
    // Building and pole, 70 and 153, are no ids of Cityscapes.
    let gray = Png::gray(SIZE, &fill(&[70, 153]));
    assert_eq!(ids_as(&gray, &cityscapes(), MaskEncoding::GrayColors), fill(&[11, 17]));
    // Grey ids beside those greys are ids.
    let ids = Png::gray(SIZE, &fill(&[120, 140, 3]));
    assert_eq!(ids_as(&ids, &ade20k(), MaskEncoding::GrayIds), fill(&[120, 140, 3]));
}

#[test]
fn a_mask_in_another_palette_is_refused_by_that_palette_s_name() {
    let forest = [ADE20K[2], ADE20K[4]];
    let street = [CITYSCAPES[7], CITYSCAPES[24], CITYSCAPES[26]];
    let carla = [[157, 234, 50], [128, 64, 128], [55, 90, 80]];
    let voc_colors = [voc_color(1), voc_color(15), [0; 3]];
    for (colors, model, name) in [
        (&forest[..], coco_stuff(), "ADE20K"),
        (&forest, cityscapes(), "ADE20K"),
        (&street, ade20k(), "Cityscapes"),
        (&street, coco_stuff(), "Cityscapes"),
        (&carla, cityscapes(), "CARLA"),
        (&voc_colors, cityscapes(), "PASCAL VOC"),
        (&[[220, 20, 60], [65, 70, 15]], cityscapes(), "COCO-Stuff"),
        (&[ADE20K[0], ADE20K[6]], coco_stuff(), "ADE20K"),
        (&[[0, 192, 64], [128, 192, 192], [128, 32, 192]], ade20k(), "MMSegmentation"),
    ] {
        let text = refusal(&rgb(colors), &model);
        assert!(text.contains(name) && text.contains("--labels"), "{name}: {text}");
        // An optimiser's palette does not make the order of its colours ids.
        // Greys alone, though, are ids, and VOC's palette by position is labelme's.
        let indices: Vec<u8> = (0..colors.len() as u8).collect();
        if name != "PASCAL VOC" && colors.iter().any(|[r, g, _]| r != g) {
            let text = refusal(&indexed(colors, &indices), &model);
            assert!(text.contains(name), "{name}, indexed: {text}");
        }
    }
}

#[test]
fn a_voc_palette_is_for_looking_at_and_its_indices_are_ids() {
    let palette: Vec<_> = (0..=255).map(voc_color).collect();
    let png = indexed(&palette, &[0, 1, 2, 5, 255]);
    for model in [voc(), ade20k(), coco_stuff()] {
        let mask = read(&png, &model).unwrap();
        assert_eq!(mask.labels.ids()[..4], [0, 1, 2, 5]);
        assert_eq!(Some(mask.labels.ids()[4]), model.unknown());
    }
    // labelme's: as many entries as labels.
    assert_eq!(
        ids_as(&indexed(&palette[..6], &[0, 3, 5]), &ade20k(), MaskEncoding::IndexedIds),
        fill(&[0, 3, 5])
    );
}

#[test]
fn labels_without_a_colour_are_read_where_the_others_are_the_model_s_by_position() {
    // As the studio saves a mask: a hue for every label without a colour.
    let model = labels(4, false, [(0, [1, 2, 3]), (2, [90, 90, 200])]);
    let palette = [[1, 2, 3], [250, 10, 30], [90, 90, 200], [30, 250, 10]];
    assert_eq!(
        ids_as(&indexed(&palette, &[0, 1, 3, 2]), &model, MaskEncoding::IndexedIds),
        fill(&[0, 1, 3, 2])
    );
}

#[test]
fn the_border_of_a_voc_mask_is_unknown_in_its_colours_too() {
    let png = rgb(&[voc_color(0), voc_color(15), [224, 224, 192]]);
    assert_eq!(ids_as(&png, &voc(), MaskEncoding::RgbColors), fill(&[0, 15, 21]));
}

#[test]
fn a_palette_of_any_other_colours_is_read_by_index() {
    let palette = [[1, 2, 3], [9, 9, 10], [200, 0, 7]];
    assert_eq!(
        ids_as(&indexed(&palette, &[0, 2, 1]), &cityscapes(), MaskEncoding::IndexedIds),
        fill(&[0, 2, 1])
    );
}

#[test]
fn entries_of_one_colour_are_never_joined() {
    // COCO-Stuff's pixel maps draw all things black, and some writers leave the palette black altogether.
    let mut things = vec![[0; 3]; 92];
    things.push(COCO_STUFF[0]);
    for (palette, indices) in
        [(&things[..], &[1, 18, 92][..]), (&things, &[1, 18]), (&[[0; 3]; 4], &[0, 1, 2, 3])]
    {
        for model in [coco_stuff(), ade20k(), voc()] {
            let text = refusal(&indexed(palette, indices), &model);
            assert!(text.contains("the same colour, #000000") && text.contains("mask_format=raw"), "{text}");
        }
    }
    let raw = read_as(&indexed(&[[0; 3]; 4], &[0, 1, 2, 3]), &voc(), MaskFormat::Raw).unwrap();
    assert_eq!(raw.labels.ids(), fill(&[0, 1, 2, 3]));
    // Cityscapes' own colours by position, as the studio writes them: several are black, two are grey.
    let by_position = indexed(&CITYSCAPES, &[1, 4, 7, 17, 18, 34]);
    assert_eq!(ids_as(&by_position, &cityscapes(), MaskEncoding::IndexedIds), fill(&[1, 4, 7, 17, 18, 34]));
}

#[test]
fn indices_are_no_way_out_for_a_palette_that_has_label_colours() {
    // Half of it is in a colour of no label: as RGB it is refused, and it is no other mask as an indexed file.
    let colors = [CITYSCAPES[23], CITYSCAPES[21], [12, 200, 90]];
    let text = refusal(&indexed(&colors, &[0, 1, 2]), &cityscapes());
    assert!(text.contains("#0cc85a") && text.contains("mask_format=raw"), "{text}");
    // Of a palette that shares no more than black, the indices are meant, however much is black.
    let size = Size::new(10, 10);
    let mut indices = [0; 100];
    indices[..4].fill(1);
    indices[4..8].fill(2);
    let png = Png::indexed(size, 8, &[[0; 3], [31, 119, 180], [255, 127, 14]], &indices);
    let mask = read(&png, &voc()).unwrap();
    assert_eq!((mask.report.encoding, mask.labels.ids()), (MaskEncoding::IndexedIds, &indices[..]));
}

#[test]
fn the_web_safe_palette_is_refused() {
    let mut palette = vec![[0; 3]; 256];
    for (i, entry) in palette[10..226].iter_mut().enumerate() {
        *entry = [51 * (i % 6) as u8, 51 * (i / 6 % 6) as u8, 51 * (i / 36) as u8];
    }
    for (indices, model) in [([10, 11, 12], coco_stuff()), ([10, 139, 10], ade20k())] {
        let text = refusal(&indexed(&palette, &indices), &model);
        assert!(text.contains("web-safe"), "{text}");
    }
}

#[test]
fn nearness_never_joins_two_labels() {
    // Two of ADE20K's greens are 7 apart: (4, 250, 7) grass and (0, 255, 10).
    let size = Size::new(8, 8);
    let mut colors = vec![ADE20K[2]; 64];
    colors[0] = [2, 252, 8]; // between the two
    colors[1] = [5, 249, 7]; // beside grass
    let mask = read(&Png::rgb(size, &colors), &ade20k()).unwrap();
    assert_eq!(mask.labels.ids()[..3], [150, 10, 3]);
    assert_eq!(mask.report.unmatched, 1);
}

#[test]
fn a_region_in_a_colour_of_no_label_is_refused_however_small_a_share_it_is() {
    let size = Size::new(10, 10);
    let mut colors = vec![CITYSCAPES[23]; 100];
    colors[..8].fill([12, 200, 90]);
    let text = refusal(&Png::rgb(size, &colors), &cityscapes());
    assert!(text.contains("#0cc85a (8 pixels)"), "{text}");
}

#[test]
fn a_binary_mask_is_refused() {
    let png = Png::gray(SIZE, &fill(&[0, 255]));
    for model in [coco_stuff(), ade20k()] {
        let text = refusal(&png, &model);
        // Both readings are named.
        assert!(text.contains("one object") && text.contains("class 0 (`label 0`) and unknown"), "{text}");
        let mask = read_as(&png, &model, MaskFormat::Ids).unwrap();
        assert_eq!(Some(mask.labels.ids()[1]), model.unknown());
        assert_eq!(mask.report.unknown_255, 7);
    }
    assert!(refusal(&png, &cityscapes()).contains("255 (7 pixels)"));
    assert!(refusal(&rgb(&[[0; 3], [255; 3]]), &coco_stuff()).contains("0 and 255 alone"));
}

#[test]
fn an_alpha_channel_of_nothing_is_refused() {
    let png = Png::new(SIZE, Color::Rgba, 8, fill(&[[7, 7, 7, 0], [8, 8, 8, 0]]).concat());
    assert!(refusal(&png, &coco_stuff()).contains("every pixel of it is transparent"));
}

#[test]
fn the_report_says_in_one_line_how_the_mask_was_read() {
    let png = Png::gray(Size::new(8, 4), &[vec![7; 16], vec![255; 16]].concat());
    let mask = read_with(&png.write(), &coco_stuff(), SIZE, MaskOptions::default()).unwrap();
    assert_eq!(
        mask.report.sentence(),
        "read as grey ids, sampled from 8x4 to 4x2; 4 pixels of 255 are unknown"
    );
    let shared = read(&rgb(&[ADE20K[6], ADE20K[2]]), &ade20k()).unwrap().report.sentence();
    assert_eq!(shared, "read as label colours; #8c8c8c is read as label 7, not label 49");
}
