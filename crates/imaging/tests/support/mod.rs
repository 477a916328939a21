//! Writes PNGs of every form there is, with nothing but stored blocks: no library decides what is written.
#![expect(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "helpers of several test files")]
#![allow(dead_code, reason = "each test file uses its own part")]

use spadework_imaging::{
    Label, LabelSet, Limits, Mask, MaskEncoding, MaskError, MaskFormat, MaskOptions, Size, decode_mask,
};

/// What a PNG's samples are.
#[derive(Clone, Debug)]
pub enum Color {
    Gray,
    Rgb,
    Indexed(Vec<[u8; 3]>),
    GrayAlpha,
    Rgba,
}

/// A PNG to write.
#[derive(Clone, Debug)]
pub struct Png {
    pub size: Size,
    pub color: Color,
    pub bits: u8,
    pub interlaced: bool,
    /// The tRNS chunk.
    pub transparency: Vec<u8>,
    /// Row-major, `channels` a pixel.
    pub samples: Vec<u16>,
}

impl Png {
    pub fn new(size: Size, color: Color, bits: u8, samples: Vec<u16>) -> Self {
        Self { size, color, bits, interlaced: false, transparency: Vec::new(), samples }
    }

    pub fn gray(size: Size, ids: &[u8]) -> Self {
        Self::new(size, Color::Gray, 8, ids.iter().map(|&id| u16::from(id)).collect())
    }

    pub fn rgb(size: Size, colors: &[[u8; 3]]) -> Self {
        Self::new(size, Color::Rgb, 8, colors.iter().flatten().map(|&sample| u16::from(sample)).collect())
    }

    /// Pixels as indices into `palette`.
    pub fn indexed(size: Size, bits: u8, palette: &[[u8; 3]], indices: &[u8]) -> Self {
        Self::new(
            size,
            Color::Indexed(palette.to_vec()),
            bits,
            indices.iter().map(|&id| u16::from(id)).collect(),
        )
    }

    fn channels(&self) -> usize {
        match self.color {
            Color::Gray | Color::Indexed(_) => 1,
            Color::GrayAlpha => 2,
            Color::Rgb => 3,
            Color::Rgba => 4,
        }
    }

    pub fn write(&self) -> Vec<u8> {
        let kind = match self.color {
            Color::Gray => 0,
            Color::Rgb => 2,
            Color::Indexed(_) => 3,
            Color::GrayAlpha => 4,
            Color::Rgba => 6,
        };
        let mut header = Vec::new();
        header.extend((self.size.width as u32).to_be_bytes());
        header.extend((self.size.height as u32).to_be_bytes());
        header.extend([self.bits, kind, 0, 0, u8::from(self.interlaced)]);
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut bytes, b"IHDR", &header);
        if let Color::Indexed(palette) = &self.color {
            chunk(&mut bytes, b"PLTE", &palette.concat());
        }
        if !self.transparency.is_empty() {
            chunk(&mut bytes, b"tRNS", &self.transparency);
        }
        chunk(&mut bytes, b"IDAT", &zlib_stored(&self.rows()));
        chunk(&mut bytes, b"IEND", &[]);
        bytes
    }

    /// The rows with their filter bytes, pass by pass.
    fn rows(&self) -> Vec<u8> {
        let passes: &[[usize; 4]] = match self.interlaced {
            false => &[[0, 1, 0, 1]],
            true => &[
                [0, 8, 0, 8],
                [4, 8, 0, 8],
                [0, 4, 4, 8],
                [2, 4, 0, 4],
                [0, 2, 2, 4],
                [1, 2, 0, 2],
                [0, 1, 1, 2],
            ],
        };
        let mut rows = Vec::new();
        for &[first_x, step_x, first_y, step_y] in passes {
            if first_x >= self.size.width {
                continue;
            }
            for y in (first_y..self.size.height).step_by(step_y) {
                rows.push(0);
                let columns = (first_x..self.size.width).step_by(step_x);
                let at = |x: usize| (y * self.size.width + x) * self.channels();
                let samples = columns.flat_map(|x| &self.samples[at(x)..at(x) + self.channels()]);
                rows.extend(packed(samples.copied(), self.bits));
            }
        }
        rows
    }
}

fn packed(samples: impl Iterator<Item = u16>, bits: u8) -> Vec<u8> {
    match bits {
        16 => samples.flat_map(u16::to_be_bytes).collect(),
        bits => {
            let samples: Vec<u16> = samples.collect();
            let in_byte = |group: &[u16]| {
                let place = |(i, &sample): (usize, &u16)| (sample as u8) << (8 - usize::from(bits) * (i + 1));
                group.iter().enumerate().map(place).fold(0, |byte, part| byte | part)
            };
            samples.chunks(usize::from(8 / bits)).map(in_byte).collect()
        }
    }
}

fn chunk(bytes: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    bytes.extend((data.len() as u32).to_be_bytes());
    let body = [kind.as_slice(), data].concat();
    bytes.extend(&body);
    bytes.extend(crc32(&body).to_be_bytes());
}

fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x01];
    let blocks = data.chunks(65_535);
    let last = blocks.len().saturating_sub(1);
    for (i, block) in blocks.enumerate() {
        bytes.push(u8::from(i == last));
        bytes.extend((block.len() as u16).to_le_bytes());
        bytes.extend((!(block.len() as u16)).to_le_bytes());
        bytes.extend(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    bytes.extend((b << 16 | a).to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

/// The labels of a data set: id and colour of each.
pub fn labels(
    label_nc: usize,
    has_unknown: bool,
    colors: impl IntoIterator<Item = (u8, [u8; 3])>,
) -> LabelSet {
    let label = |(id, color)| Label { id, name: format!("label {id}"), color: Some(color) };
    LabelSet::new(label_nc, has_unknown, colors.into_iter().map(label).collect()).unwrap()
}

pub fn cityscapes() -> LabelSet {
    labels(35, false, (0..).zip(spadework_imaging::palettes::CITYSCAPES))
}

/// Id 0 is `other`, black; 150 is unknown and flag at once, as published.
pub fn ade20k() -> LabelSet {
    labels(150, true, (0..).zip([[0; 3]].into_iter().chain(spadework_imaging::palettes::ADE20K)))
}

/// Id 182 is unlabeled, black.
pub fn coco_stuff() -> LabelSet {
    let things = spadework_imaging::palettes::COCO_THINGS.into_iter();
    let colors = things.chain(spadework_imaging::palettes::COCO_STUFF.map(Some)).chain([Some([0; 3])]);
    labels(182, true, (0..).zip(colors).filter_map(|(id, color)| Some((id, color?))))
}

/// Twenty classes and the background; 255 is the border.
pub fn voc() -> LabelSet {
    labels(21, true, (0..21).map(|id| (id, spadework_imaging::palettes::voc_color(id))))
}

pub fn read_with(
    bytes: &[u8],
    labels: &LabelSet,
    size: Size,
    options: MaskOptions,
) -> Result<Mask, MaskError> {
    decode_mask(bytes, labels, size, options, &Limits::default())
}

pub fn read_as(png: &Png, labels: &LabelSet, format: MaskFormat) -> Result<Mask, MaskError> {
    read_with(&png.write(), labels, png.size, MaskOptions { format, ..MaskOptions::default() })
}

pub fn read(png: &Png, labels: &LabelSet) -> Result<Mask, MaskError> {
    read_as(png, labels, MaskFormat::Auto)
}

/// What a mask that must be readable was read as.
pub fn ids_as(png: &Png, labels: &LabelSet, encoding: MaskEncoding) -> Vec<u8> {
    let mask = read(png, labels).unwrap_or_else(|error| panic!("{encoding}: {error}"));
    assert_eq!(mask.report.encoding, encoding);
    mask.labels.into_ids()
}

pub fn refusal(png: &Png, labels: &LabelSet) -> String {
    match read(png, labels) {
        Err(error) => error.to_string(),
        Ok(mask) => panic!("read as {}: {:?}", mask.report.encoding, mask.labels.ids()),
    }
}
