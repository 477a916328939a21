//! The raw samples of a PNG, a row at a time: no gamma, no colour profile, no rescaling.
//!
//! Memory is a few rows, however large the image; interlaced images arrive as the sparse rows of their
//! passes. Text and colour profiles are skipped unread, so their compressed forms cannot swell.

use std::io::{Cursor, ErrorKind as IoErrorKind};

use png::{ColorType, DecodingError};

use crate::{Format, Limits, ReadError, Size};

/// What a row's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    /// One sample: an index into the palette.
    Indexed,
    /// One sample: grey.
    Gray,
    /// Three samples: red, green, blue.
    Rgb,
}

/// A PNG opened for reading its rows.
pub(crate) struct PngRows<'a> {
    reader: png::Reader<Cursor<&'a [u8]>>,
    size: Size,
    bits: u8,
    color: ColorType,
    palette: Vec<[u8; 3]>,
    transparency: Transparency,
    places: Places,
}

/// What makes a pixel transparent, beyond an alpha channel.
enum Transparency {
    None,
    /// Alpha of each palette entry; entries past the end are opaque.
    Palette(Vec<u8>),
    /// The one grey or colour that stands for nothing.
    Key([u16; 3]),
}

impl<'a> PngRows<'a> {
    /// Checks the length and the header against `limits`, then reads up to the pixels.
    ///
    /// # Errors
    /// When the file is no PNG, too large, cut off or damaged.
    pub(crate) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ReadError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let info = decoder.read_header_info().map_err(png_error)?;
        let size = Size::new(info.width as usize, info.height as usize);
        limits.check_size(size)?;
        let reader = decoder.read_info().map_err(png_error)?;
        let info = reader.info();
        let palette = info.palette.as_deref().unwrap_or_default();
        Ok(Self {
            size,
            bits: info.bit_depth as u8,
            color: info.color_type,
            palette: palette.as_chunks().0.to_vec(),
            transparency: Transparency::of(info),
            places: Places::of(size, info.interlaced),
            reader,
        })
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Bits of a sample: 1, 2, 4, 8 or 16.
    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    pub(crate) fn samples(&self) -> Samples {
        match self.color {
            ColorType::Indexed => Samples::Indexed,
            ColorType::Grayscale | ColorType::GrayscaleAlpha => Samples::Gray,
            ColorType::Rgb | ColorType::Rgba => Samples::Rgb,
        }
    }

    /// The palette's colours; empty unless the samples are indexed.
    pub(crate) fn palette(&self) -> &[[u8; 3]] {
        &self.palette
    }

    /// Whether any pixel could be less than opaque.
    pub(crate) fn may_be_transparent(&self) -> bool {
        matches!(self.color, ColorType::GrayscaleAlpha | ColorType::Rgba)
            || !matches!(self.transparency, Transparency::None)
    }

    /// The raw TIFF block of an eXIf chunk, if there was one.
    pub(crate) fn exif(&self) -> Option<&[u8]> {
        self.reader.info().exif_metadata.as_deref()
    }

    /// The next row, or `None` after the last. An animation ends with its first frame.
    ///
    /// # Errors
    /// When the file is cut off or damaged.
    pub(crate) fn next(&mut self) -> Result<Option<PngRow<'_>>, ReadError> {
        let Some(place) = self.places.next() else { return Ok(None) };
        let row = self.reader.next_row().map_err(png_error)?;
        let data = row.map(|row| row.data()).unwrap_or_default();
        let bits = self.color.samples() * usize::from(self.bits);
        if data.len() < (place.len * bits).div_ceil(8) {
            let reason = format!("its first frame does not cover {}", self.size);
            return Err(ReadError::damaged_because(Format::Png, reason));
        }
        Ok(Some(PngRow { place, data, bits: self.bits, color: self.color, transparency: &self.transparency }))
    }
}

impl Transparency {
    fn of(info: &png::Info<'_>) -> Self {
        let Some(trns) = info.trns.as_deref() else { return Self::None };
        // The decoder keeps two bytes of a key's sample only where samples have sixteen bits.
        let sample = |index: usize| match info.bit_depth {
            png::BitDepth::Sixteen => trns.as_chunks().0.get(index).copied().map(u16::from_be_bytes),
            _ => trns.get(index).copied().map(u16::from),
        };
        match info.color_type {
            ColorType::Indexed => Self::Palette(trns.to_vec()),
            ColorType::Grayscale => sample(0).map_or(Self::None, |gray| Self::Key([gray; 3])),
            ColorType::Rgb => match (sample(0), sample(1), sample(2)) {
                (Some(r), Some(g), Some(b)) => Self::Key([r, g, b]),
                _ => Self::None,
            },
            ColorType::GrayscaleAlpha | ColorType::Rgba => Self::None,
        }
    }
}

/// The raw samples of one row, or of one row of an interlacing pass.
pub(crate) struct PngRow<'a> {
    pub(crate) place: Place,
    data: &'a [u8],
    bits: u8,
    color: ColorType,
    transparency: &'a Transparency,
}

impl PngRow<'_> {
    /// The index or grey value of the row's pixel `i`; of a colour pixel, its red.
    pub(crate) fn single(&self, i: usize) -> u16 {
        self.sample(i * self.color.samples())
    }

    /// Red, green and blue of the row's pixel `i`; of a grey pixel, its value three times.
    pub(crate) fn rgb(&self, i: usize) -> [u16; 3] {
        let first = i * self.color.samples();
        match self.color {
            ColorType::Rgb | ColorType::Rgba => {
                [self.sample(first), self.sample(first + 1), self.sample(first + 2)]
            }
            _ => [self.sample(first); 3],
        }
    }

    /// Alpha of the row's pixel `i`, from 0, transparent, to 255.
    pub(crate) fn alpha(&self, i: usize) -> u8 {
        let channels = self.color.samples();
        match (self.color, self.transparency) {
            (ColorType::GrayscaleAlpha | ColorType::Rgba, _) => {
                let alpha = self.sample(i * channels + channels - 1);
                if self.bits == 16 { (alpha >> 8).max(u16::from(alpha > 0)) as u8 } else { alpha as u8 }
            }
            (_, Transparency::Palette(alphas)) => {
                alphas.get(usize::from(self.single(i))).copied().unwrap_or(255)
            }
            (_, Transparency::Key(key)) if self.rgb(i) == *key => 0,
            _ => 255,
        }
    }

    /// Sample `index` of the row, unpacked from its bits, most significant first.
    fn sample(&self, index: usize) -> u16 {
        match self.bits {
            8 => u16::from(self.data[index]),
            16 => u16::from_be_bytes([self.data[2 * index], self.data[2 * index + 1]]),
            bits => {
                let bit = index * usize::from(bits);
                let shift = 8 - usize::from(bits) - bit % 8;
                u16::from((self.data[bit / 8] >> shift) & ((1 << bits) - 1))
            }
        }
    }
}

/// Where a row's pixels belong: row `y`, columns `first_x + i * step_x` for `i` in `0..len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) y: usize,
    pub(crate) first_x: usize,
    pub(crate) step_x: usize,
    pub(crate) len: usize,
}

/// First column, column step, first row, row step of Adam7's seven passes (PNG specification, section 8).
const ADAM7: [[usize; 4]; 7] =
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];

/// The places of an image's rows in the order in which the file holds them.
struct Places {
    size: Size,
    passes: &'static [[usize; 4]],
    /// Rows of the current pass already given.
    line: usize,
}

impl Places {
    fn of(size: Size, interlaced: bool) -> Self {
        let passes: &[_] = if interlaced { &ADAM7 } else { &[[0, 1, 0, 1]] };
        Self { size, passes, line: 0 }
    }
}

impl Iterator for Places {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        while let &[[first_x, step_x, first_y, step_y], ref later @ ..] = self.passes {
            let y = first_y + self.line * step_y;
            let len = self.size.width.saturating_sub(first_x).div_ceil(step_x);
            if y < self.size.height && len > 0 {
                self.line += 1;
                return Some(Place { y, first_x, step_x, len });
            }
            self.passes = later;
            self.line = 0;
        }
        None
    }
}

/// What a PNG decoder's error means to the person who sent the file.
pub(crate) fn png_error(error: DecodingError) -> ReadError {
    let format = Format::Png;
    match error {
        DecodingError::IoError(cause) if cause.kind() == IoErrorKind::UnexpectedEof => {
            ReadError::Truncated { format }
        }
        DecodingError::LimitsExceeded => {
            ReadError::damaged_because(format, "its chunks need more memory than a picture of its size may")
        }
        other => ReadError::damaged(format, other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_pixel_has_exactly_one_place(width in 1..20usize, height in 1..20usize, interlaced: bool) {
            let mut seen = vec![0; width * height];
            for place in Places::of(Size::new(width, height), interlaced) {
                for i in 0..place.len {
                    seen[place.y * width + place.first_x + i * place.step_x] += 1;
                }
            }
            prop_assert!(seen.iter().all(|&times| times == 1));
        }
    }
}
