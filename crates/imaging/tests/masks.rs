//! Masks as people send them: what each file form means, and what is refused with which sentence.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use spadework_imaging::{
    ErrorKind, InstanceMap, Label, LabelSet, Limits, Mask, MaskEncoding, MaskError, MaskFormat, MaskOptions,
    ReadError, Resize, Size, decode_instances, decode_mask, decode_picture,
};

const SKY: [u8; 3] = [70, 130, 180];
const SEA: [u8; 3] = [0, 60, 100];
const SAND: [u8; 3] = [210, 180, 90];
const SIZE: Size = Size::new(4, 2);

fn labels(has_unknown: bool) -> LabelSet {
    let label = |id, name: &str, color| Label { id, name: name.into(), color: Some(color) };
    LabelSet::new(3, has_unknown, vec![label(0, "sky", SKY), label(1, "sea", SEA), label(2, "sand", SAND)])
        .unwrap()
}

struct Png {
    color: png::ColorType,
    bits: png::BitDepth,
    size: Size,
    palette: Option<Vec<u8>>,
    transparency: Option<Vec<u8>>,
}

impl Png {
    fn new(color: png::ColorType, bits: png::BitDepth) -> Self {
        Self { color, bits, size: SIZE, palette: None, transparency: None }
    }

    fn palette(mut self, colors: &[[u8; 3]]) -> Self {
        self.palette = Some(colors.concat());
        self
    }

    fn write(self, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.size.width as u32, self.size.height as u32);
        encoder.set_color(self.color);
        encoder.set_depth(self.bits);
        if let Some(palette) = self.palette {
            encoder.set_palette(palette);
        }
        if let Some(transparency) = self.transparency {
            encoder.set_trns(transparency);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }
}

fn gray8(data: &[u8]) -> Vec<u8> {
    Png::new(png::ColorType::Grayscale, png::BitDepth::Eight).write(data)
}

fn gray16(data: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_be_bytes()).collect();
    Png::new(png::ColorType::Grayscale, png::BitDepth::Sixteen).write(&bytes)
}

fn rgb8(colors: &[[u8; 3]]) -> Vec<u8> {
    Png::new(png::ColorType::Rgb, png::BitDepth::Eight).write(&colors.concat())
}

fn read_as(bytes: &[u8], format: MaskFormat) -> Result<Mask, MaskError> {
    let options = MaskOptions { format, ..MaskOptions::default() };
    decode_mask(bytes, &labels(true), SIZE, options, &Limits::default())
}

fn read(bytes: &[u8]) -> Result<Mask, MaskError> {
    read_as(bytes, MaskFormat::Auto)
}

fn ids(mask: &Mask) -> &[u8] {
    mask.labels.ids()
}

#[test]
fn grey_values_are_ids_and_255_is_unknown() {
    let mask = read(&gray8(&[0, 1, 2, 255, 3, 0, 0, 0])).unwrap();
    assert_eq!(ids(&mask), [0, 1, 2, 3, 3, 0, 0, 0]);
    assert_eq!(mask.report.encoding, MaskEncoding::GrayIds);
    let classes: Vec<_> = mask.report.classes.iter().map(|c| (c.id, c.name.as_str(), c.pixels)).collect();
    assert_eq!(classes, [(0, "sky", 4), (1, "sea", 1), (2, "sand", 1), (3, "unknown", 2)]);
}

#[test]
fn sixteen_bit_ids_are_ids() {
    assert_eq!(ids(&read(&gray16(&[0, 1, 2, 0, 1, 2, 0, 1])).unwrap()), [0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn cityscapes_ids_carry_their_instances() {
    let values = [1000, 1001, 2000, 0, 1000, 1001, 2007, 0];
    let options = MaskOptions { instance_edges: true, ..MaskOptions::default() };
    let mask = decode_mask(&gray16(&values), &labels(true), SIZE, options, &Limits::default()).unwrap();
    assert_eq!(ids(&mask), [1, 1, 2, 0, 1, 1, 2, 0]);
    assert_eq!(mask.instances.unwrap().ids(), values.map(u32::from));
    assert_eq!(mask.report.encoding, MaskEncoding::InstanceIds);
    let error = read(&gray16(&values)).unwrap_err();
    assert!(matches!(error, MaskError::InstanceIds { highest: 2007 }), "{error}");
}

#[test]
fn one_bit_masks_are_ids() {
    let bytes = Png::new(png::ColorType::Grayscale, png::BitDepth::One).write(&[0b0101_0000, 0b1111_0000]);
    let options = MaskOptions::default();
    let mask = decode_mask(&bytes, &labels(false), SIZE, options, &Limits::default()).unwrap();
    assert_eq!(ids(&mask), [0, 1, 0, 1, 1, 1, 1, 1]);
}

#[test]
fn a_palette_of_the_model_s_colours_is_read_by_colour_whatever_its_order() {
    let png = || Png::new(png::ColorType::Indexed, png::BitDepth::Eight).palette(&[SAND, SKY, SEA]);
    let mask = read(&png().write(&[0, 1, 2, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!(ids(&mask), [2, 0, 1, 2, 2, 2, 2, 2]);
    assert_eq!(mask.report.encoding, MaskEncoding::IndexedColors);
    let by_index = read_as(&png().write(&[0, 1, 2, 0, 0, 0, 0, 0]), MaskFormat::Ids).unwrap();
    assert_eq!(ids(&by_index), [0, 1, 2, 0, 0, 0, 0, 0]);
}

#[test]
fn a_palette_of_other_colours_is_read_by_index() {
    let png =
        Png::new(png::ColorType::Indexed, png::BitDepth::Eight).palette(&[[1, 2, 3], [9, 9, 9], [200, 0, 0]]);
    let mask = read(&png.write(&[0, 1, 2, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!(ids(&mask), [0, 1, 2, 0, 0, 0, 0, 0]);
    assert_eq!(mask.report.encoding, MaskEncoding::IndexedIds);
}

#[test]
fn rgb_of_equal_channels_is_grey() {
    let mask = read(&rgb8(&[[0; 3], [1; 3], [2; 3], [255; 3], [0; 3], [0; 3], [0; 3], [0; 3]])).unwrap();
    assert_eq!(ids(&mask), [0, 1, 2, 3, 0, 0, 0, 0]);
    assert_eq!(mask.report.encoding, MaskEncoding::RgbIds);
}

/// A mask of 8x4 in the labels' colours, its first pixel in another.
fn spotted(spot: [u8; 3], rest: &[[u8; 3]], has_unknown: bool) -> Mask {
    let size = Size::new(8, 4);
    let colors: Vec<_> = [spot].into_iter().chain(rest.iter().copied().cycle()).take(32).collect();
    let bytes = Png { size, ..Png::new(png::ColorType::Rgb, png::BitDepth::Eight) }.write(&colors.concat());
    let labels = labels(has_unknown);
    decode_mask(&bytes, &labels, size, MaskOptions::default(), &Limits::default()).unwrap()
}

#[test]
fn colours_are_exact_then_near_then_unmatched() {
    let near = [SKY[0] + 3, SKY[1], SKY[2] - 3];
    let mask = spotted([255, 0, 0], &[SKY, SEA, SAND, near], true);
    assert_eq!(ids(&mask)[..5], [3, 0, 1, 2, 0]);
    assert_eq!(mask.report.unmatched, 1);
    assert_eq!(mask.report.unmatched_share(), 1.0 / 32.0);
}

#[test]
fn without_an_unknown_label_an_unmatched_colour_takes_the_nearest() {
    let mask = spotted([20, 70, 110], &[SKY, SEA, SAND], false);
    assert_eq!((ids(&mask)[0], mask.report.unmatched), (1, 1));
}

#[test]
fn a_photograph_is_refused_as_a_mask() {
    let error = read(&rgb8(&[SKY, [255, 0, 0], [255, 0, 1], [255, 0, 1], SKY, SKY, SKY, SKY])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownLabels);
    assert!(error.to_string().contains("#ff0001 (2 pixels), #ff0000 (1 pixel);"), "{error}");
}

#[test]
fn transparent_pixels_are_unknown_or_refused() {
    let mut data = Vec::new();
    for (index, color) in [SKY, SEA, SAND, SKY, SKY, SKY, SKY, [9, 9, 9]].iter().enumerate() {
        data.extend(color);
        data.push(if index == 7 { 0 } else { 255 });
    }
    let bytes = Png::new(png::ColorType::Rgba, png::BitDepth::Eight).write(&data);
    assert_eq!(ids(&read(&bytes).unwrap()), [0, 1, 2, 0, 0, 0, 0, 3]);
    let error =
        decode_mask(&bytes, &labels(false), SIZE, MaskOptions::default(), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("1 of its 8 pixels are transparent"), "{error}");
}

#[test]
fn the_one_transparent_value_of_a_png_without_alpha_is_unknown() {
    let keyed = |color, bits, key: &[u8], data: &[u8]| {
        Png { transparency: Some(key.to_vec()), ..Png::new(color, bits) }.write(data)
    };
    let gray = keyed(png::ColorType::Grayscale, png::BitDepth::Eight, &[0, 1], &[0, 1, 2, 0, 1, 2, 0, 1]);
    let four_bits = keyed(png::ColorType::Grayscale, png::BitDepth::Four, &[0, 1], &[0x01, 0x20, 0x12, 0x01]);
    let wide: Vec<u8> = [0u16, 1, 2, 0, 1, 2, 0, 1].iter().flat_map(|id| id.to_be_bytes()).collect();
    let wide = keyed(png::ColorType::Grayscale, png::BitDepth::Sixteen, &[0, 1], &wide);
    let key: Vec<u8> = SEA.iter().flat_map(|&sample| [0, sample]).collect();
    let colors = [SKY, SEA, SAND, SKY, SEA, SAND, SKY, SEA].concat();
    let rgb = keyed(png::ColorType::Rgb, png::BitDepth::Eight, &key, &colors);
    for bytes in [gray, four_bits, wide, rgb] {
        assert_eq!(ids(&read(&bytes).unwrap()), [0, 3, 2, 0, 3, 2, 0, 3]);
    }
}

#[test]
fn the_first_ten_unknown_ids_are_named_with_their_counts() {
    let size = Size::new(5, 4);
    let data: Vec<u8> = (0..20).map(|i| if i < 13 { 100 + i } else { 100 }).collect();
    let bytes = Png { size, ..Png::new(png::ColorType::Grayscale, png::BitDepth::Eight) }.write(&data);
    let error =
        decode_mask(&bytes, &labels(true), size, MaskOptions::default(), &Limits::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("100 (8 pixels), 101 (1 pixel)"), "{text}");
    assert!(
        text.contains("109 (1 pixel), and 3 more; its ids are 0 to 2, and 3 or 255 for unknown"),
        "{text}"
    );
}

#[test]
fn another_size_is_sampled_refused_or_forced_as_asked() {
    let bytes = gray8(&[0, 1, 2, 0, 1, 2, 0, 1]);
    let (half, square) = (Size::new(2, 1), Size::new(2, 2));
    let read = |size, resize| {
        let options = MaskOptions { resize, ..MaskOptions::default() };
        decode_mask(&bytes, &labels(true), size, options, &Limits::default())
    };
    let mask = read(half, Resize::Auto).unwrap();
    assert_eq!(ids(&mask), [2, 1]);
    assert_eq!(mask.report.original_size, SIZE);
    for (size, resize) in [(half, Resize::Reject), (square, Resize::Auto), (square, Resize::Reject)] {
        let error = read(size, resize).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongSize);
        assert!(error.to_string().contains(&format!("it is 4x2 and the model's size is {size}")), "{error}");
    }
    assert_eq!(ids(&read(square, Resize::Nearest).unwrap()), [1, 0, 2, 1]);
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_decoding() {
    let mut bytes = gray8(&[0; 8]);
    bytes[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = read(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("30000x30000"), "{error}");
    assert_eq!(decode_picture(&bytes, &Limits::default()).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_cut_file_is_refused_unless_every_pixel_was_there() {
    let bytes = gray8(&[0, 1, 2, 0, 1, 2, 0, 1]);
    for length in 1..bytes.len() {
        match read(&bytes[..length]) {
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::Damaged | ErrorKind::NotAnImage),
                    "{length} bytes: {error}"
                );
            }
            Ok(mask) => assert_eq!(ids(&mask), [0, 1, 2, 0, 1, 2, 0, 1], "{length} bytes"),
        }
    }
    assert_eq!(read(&bytes[..bytes.len() / 2]).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_jpeg_is_no_mask() {
    let picture = spadework_imaging::RgbImage::new(4, 2, vec![9; 24]).unwrap();
    let jpeg = spadework_imaging::encode_jpeg(&picture, 90).unwrap();
    let error = read(&jpeg).unwrap_err();
    assert!(matches!(error, MaskError::Read(ReadError::WrongFormat { found: "JPEG", .. })), "{error}");
    let error = read(b"some text").unwrap_err();
    assert!(error.to_string().ends_with("send a PNG, which keeps every pixel as it is"), "{error}");
}

#[test]
fn half_a_jpeg_is_truncated() {
    let pixels = (0..64 * 64 * 3).map(|i| (i * 7919 % 251) as u8).collect();
    let jpeg = spadework_imaging::encode_jpeg(&spadework_imaging::RgbImage::new(64, 64, pixels).unwrap(), 90)
        .unwrap();
    let error = decode_picture(&jpeg[..jpeg.len() / 2], &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn an_instance_map_is_of_the_mask_s_size_and_sampled_with_it() {
    let bytes = gray16(&[7, 7, 500, 500, 7, 7, 500, 500]);
    let read = |mask_size, size| decode_instances(&bytes, mask_size, size, &Limits::default());
    assert_eq!(
        read(SIZE, SIZE).unwrap(),
        InstanceMap::new(4, 2, vec![7, 7, 500, 500, 7, 7, 500, 500]).unwrap()
    );
    assert_eq!(read(SIZE, Size::new(2, 1)).unwrap().ids(), [7, 500]);
    assert_eq!(read(Size::new(8, 8), SIZE).unwrap_err().kind(), ErrorKind::WrongSize);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}
