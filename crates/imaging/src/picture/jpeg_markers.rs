//! The segments of a JPEG, walked without decoding: how it is coded, and whether it ends.
//!
//! Segments are skipped by their lengths, so the markers of a thumbnail inside one are never seen.

use crate::{Format, ReadError};

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Checks that a JPEG is of a coding that is read here.
///
/// # Errors
/// When it is not, or the file ends before it says how it is coded.
pub(super) fn check_coding(bytes: &[u8]) -> Result<(), ReadError> {
    for segment in Segments::new(bytes) {
        let (marker, body) = segment?;
        if let Some(feature) = unsupported(marker, body.first().copied()) {
            return Err(ReadError::Unsupported { format: Format::Jpeg, feature: feature.to_owned() });
        }
        if is_frame(marker) || marker == START_OF_SCAN {
            return Ok(());
        }
    }
    Ok(())
}

/// Checks that a JPEG has its end marker. Decoders forgive its absence and fill the rest with grey; a cut file would
/// then set a style that nobody chose.
///
/// # Errors
/// When the file ends before the image does.
pub(super) fn check_end(bytes: &[u8]) -> Result<(), ReadError> {
    for segment in Segments::new(bytes) {
        if segment?.0 == END_OF_IMAGE {
            return Ok(());
        }
    }
    Err(ReadError::Truncated { format: Format::Jpeg })
}

/// What is not read here of a frame that `marker` begins, `precision` being the first byte of its header (ITU-T T.81,
/// table B.1).
fn unsupported(marker: u8, precision: Option<u8>) -> Option<&'static str> {
    match (marker, precision) {
        (0xc9..=0xcb | 0xcd..=0xcf, _) => Some("arithmetic coding"),
        (0xc3, _) => Some("lossless coding"),
        (0xc5..=0xc7, _) => Some("hierarchical coding"),
        (0xf7, _) => Some("JPEG-LS coding"),
        (0xc0..=0xc2, Some(12)) => Some("12 bits a sample"),
        _ => None,
    }
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7)
}

/// Markers with what their lengths cover, up to the end marker.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    ended: bool,
}

impl<'a> Segments<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, ended: false }
    }

    /// The next marker and its segment, or nothing where the file ends.
    fn read(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            // Between segments anything but a marker is rubbish that decoders pass over too.
            self.at += self.bytes.get(self.at..)?.iter().position(|byte| *byte == 0xff)?;
            self.at += self.bytes.get(self.at..)?.iter().position(|byte| *byte != 0xff)?;
            let marker = *self.bytes.get(self.at)?;
            self.at += 1;
            match marker {
                0 | 0xd0..=0xd7 | 0x01 | START_OF_IMAGE => {} // a stuffed byte, restarts, no segment
                END_OF_IMAGE => return Some((marker, &[])),
                _ => {
                    let length = usize::from(u16::from_be_bytes(*self.bytes.get(self.at..)?.first_chunk()?));
                    let body = self.bytes.get(self.at + 2..self.at + length.max(2))?;
                    self.at += length.max(2);
                    return Some((marker, body));
                }
            }
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<(u8, &'a [u8]), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let segment = self.read().ok_or(ReadError::Truncated { format: Format::Jpeg });
        self.ended = !matches!(segment, Ok((marker, _)) if marker != END_OF_IMAGE);
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, RgbImage, decode_picture, encode_jpeg};

    fn photo() -> Vec<u8> {
        let pixels = (0..64 * 64 * 3).map(|i| (i * 7919 % 251) as u8).collect();
        encode_jpeg(&RgbImage::new(64, 64, pixels).unwrap(), 90).unwrap()
    }

    /// `jpeg` with an application segment of `body` behind its first marker.
    fn with_segment(jpeg: &[u8], body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, body, &jpeg[2..]].concat()
    }

    #[test]
    fn a_cut_file_is_cut_whatever_its_thumbnail_holds() {
        let small = encode_jpeg(&RgbImage::new(8, 8, vec![90; 192]).unwrap(), 50).unwrap();
        let whole = with_segment(&photo(), &[b"Exif\0\0".as_slice(), &small, &small].concat());
        assert!(check_end(&whole).is_ok());
        assert!(decode_picture(&whole, &crate::Limits::default()).is_ok());
        for parts in 1..10 {
            let cut = &whole[..whole.len() * parts / 10];
            assert!(matches!(check_end(cut), Err(ReadError::Truncated { .. })), "{parts} tenths");
            let error = decode_picture(cut, &crate::Limits::default()).unwrap_err();
            assert!(
                matches!(error, ReadError::Truncated { format: Format::Jpeg }),
                "{parts} tenths: {error}"
            );
        }
    }

    #[test]
    fn what_follows_the_end_is_not_looked_at() {
        assert!(check_end(&[photo(), b"trailing \xff\xe1 bytes".to_vec()].concat()).is_ok());
    }

    #[test]
    fn codings_that_are_not_read_are_named() {
        let photo = photo();
        let frame = photo.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        for (marker, precision, feature) in [
            (0xc9, 8, "arithmetic coding"),
            (0xca, 8, "arithmetic coding"),
            (0xc3, 8, "lossless coding"),
            (0xc5, 8, "hierarchical coding"),
            (0xf7, 8, "JPEG-LS coding"),
            (0xc1, 12, "12 bits a sample"),
        ] {
            let mut other = photo.clone();
            (other[frame + 1], other[frame + 4]) = (marker, precision);
            let error = decode_picture(&other, &crate::Limits::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(feature), "{error}");
        }
    }
}
