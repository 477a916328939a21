//! A mask, an instance map or a picture of any bytes: pixels or a sentence, never a panic, never more memory than the
//! limits allow. The first byte chooses how a mask is read.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use spadework_imaging::{
    Label, LabelSet, Limits, MaskFormat, MaskOptions, Resize, Size, decode_instances, decode_mask,
    decode_picture, encode_label_png, peek,
};

/// Keeps a run fast: a header that claims more is refused before it is decoded.
const LIMITS: Limits = Limits { bytes: 1 << 16, pixels: 1 << 16, side: 1 << 12 };
const SIZE: Size = Size { width: 16, height: 16 };

static LABELS: LazyLock<LabelSet> = LazyLock::new(|| {
    let label = |(id, color)| Label { id, name: format!("label {id}"), color: Some(color) };
    let labels = [(0, [0, 0, 0]), (1, [255, 0, 0]), (2, [0, 255, 0]), (3, [128, 128, 128])].map(label);
    LabelSet::new(4, true, labels.into()).expect("four labels make a set")
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((how, file)) = input.split_first() else { return Corpus::Reject };
    let formats =
        [MaskFormat::Auto, MaskFormat::Ids, MaskFormat::Colors, MaskFormat::Raw, MaskFormat::Shown];
    let format = formats[usize::from(how % 5)];
    let resize = [Resize::Reject, Resize::Nearest, Resize::Auto][usize::from(how / 5 % 3)];
    let options = MaskOptions { format, resize, instance_edges: how / 15 % 2 == 1 };
    let _ = peek(file);
    if let Ok(mask) = decode_mask(file, &LABELS, SIZE, options, &LIMITS) {
        let written = encode_label_png(&mask.labels).expect("what was read can be written");
        let ids = MaskOptions { format: MaskFormat::Ids, ..MaskOptions::default() };
        let again = decode_mask(&written, &LABELS, SIZE, ids, &LIMITS).expect("and read again");
        assert_eq!(again.labels, mask.labels);
    } else if let Err(error) = decode_mask(file, &LABELS, SIZE, options, &LIMITS) {
        assert!(!error.to_string().is_empty());
    }
    let _ = decode_instances(file, SIZE, SIZE, &LIMITS);
    if let Ok(picture) = decode_picture(file, &LIMITS) {
        assert_eq!(picture.pixels().len(), 3 * picture.width() * picture.height());
    }
    Corpus::Keep
});
