//! Masks and pictures to send, made on the spot.

use png::{BitDepth, ColorType};

/// A PNG of raw samples.
pub(crate) fn png(width: u32, height: u32, color: ColorType, depth: BitDepth, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An indexed PNG of 8 bits.
pub(crate) fn indexed_png(width: u32, height: u32, palette: &[[u8; 3]], indices: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(indices).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Grey ids in bands: sky, mountain, grass; `shift` makes each one different.
pub(crate) fn landscape_ids(shift: usize) -> Vec<u8> {
    let id = |i: usize| match (i / 256 + shift + (i % 256) / 9) % 256 {
        0..100 => 0,
        100..150 => 2,
        _ => 6,
    };
    (0..256 * 256).map(id).collect()
}

/// A mask of [`landscape_ids`].
pub(crate) fn landscape_mask(shift: usize) -> Vec<u8> {
    png(256, 256, ColorType::Grayscale, BitDepth::Eight, &landscape_ids(shift))
}

/// A mask of 32x32 for the tiny model: ids 0, 1, 2.
pub(crate) fn tiny_mask(shift: usize) -> Vec<u8> {
    let ids: Vec<u8> = (0..32 * 32).map(|i| ((i / 32 + i % 32 + shift) / 7 % 3) as u8).collect();
    png(32, 32, ColorType::Grayscale, BitDepth::Eight, &ids)
}

/// A picture to take a style from.
pub(crate) fn style_picture(tint: u8) -> Vec<u8> {
    let pixel = |i: usize| [tint, (i % 64 * 4) as u8, (i / 64 * 4) as u8];
    let samples: Vec<u8> = (0..64 * 64).flat_map(pixel).collect();
    png(64, 64, ColorType::Rgb, BitDepth::Eight, &samples)
}

/// Width, height and pixels of an RGB PNG.
pub(crate) fn decode(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, ColorType::Rgb);
    (info.width, info.height, pixels)
}
