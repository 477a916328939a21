//! EXIF orientation: how a camera held the image.

use crate::RgbImage;

/// A flip about the vertical axis, then quarter turns clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation {
    flip: bool,
    turns: u8,
}

impl Orientation {
    pub(super) const UPRIGHT: Self = Self { flip: false, turns: 0 };

    /// What a raw EXIF block says; upright when it says nothing readable.
    pub(super) fn of_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif).to_vec();
        let value = exif::Reader::new().read_raw(tiff).ok().and_then(|fields| {
            fields.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0)
        });
        Self::of_value(value.unwrap_or(1))
    }

    /// EXIF 2.32, tag 0x0112.
    fn of_value(value: u32) -> Self {
        let (flip, turns) = match value {
            2 => (true, 0),
            3 => (false, 2),
            4 => (true, 2),
            5 => (true, 3),
            6 => (false, 1),
            7 => (true, 1),
            8 => (false, 3),
            _ => (false, 0),
        };
        Self { flip, turns }
    }

    pub(super) fn apply(self, picture: RgbImage) -> RgbImage {
        if self == Self::UPRIGHT {
            return picture;
        }
        let (width, height) = (picture.width(), picture.height());
        let (out_width, out_height) = if self.turns % 2 == 1 { (height, width) } else { (width, height) };
        let mut pixels = Vec::with_capacity(picture.pixels().len());
        for y in 0..out_height {
            for x in 0..out_width {
                let (x, y) = match self.turns {
                    0 => (x, y),
                    1 => (y, height - 1 - x),
                    2 => (width - 1 - x, height - 1 - y),
                    _ => (width - 1 - y, x),
                };
                let x = if self.flip { width - 1 - x } else { x };
                pixels.extend(picture.pixel(x, y));
            }
        }
        // Both sizes hold the same number of pixels, each copied once.
        RgbImage::new(out_width, out_height, pixels).unwrap_or(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight ways to store the upright 2×3 image `ab / cd / ef`, by EXIF value.
    const STORED: [(u32, usize, &str); 8] = [
        (1, 2, "abcdef"),
        (2, 2, "badcfe"),
        (3, 2, "fedcba"),
        (4, 2, "efcdab"),
        (5, 3, "acebdf"),
        (6, 3, "bdface"),
        (7, 3, "fdbeca"),
        (8, 3, "ecafdb"),
    ];

    #[test]
    fn every_orientation_comes_out_upright() {
        for (value, width, letters) in STORED {
            let pixels: Vec<u8> = letters.bytes().flat_map(|letter| [letter; 3]).collect();
            let stored = RgbImage::new(width, 6 / width, pixels).unwrap();
            let upright = Orientation::of_value(value).apply(stored);
            let read: String = upright.pixels().iter().step_by(3).map(|&byte| byte as char).collect();
            assert_eq!((read.as_str(), upright.width()), ("abcdef", 2), "orientation {value}");
        }
    }

    #[test]
    fn rubbish_is_upright() {
        assert_eq!(Orientation::of_exif(b"Exif\0\0rubbish"), Orientation::UPRIGHT);
    }
}
