//! PNG images.

use super::{Decoded, picture};
use crate::png_rows::{Place, PngRow, PngRows, Samples};
use crate::{Format, Limits, ReadError};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ReadError> {
    let mut rows = PngRows::open(bytes, limits)?;
    let (size, samples, bits) = (rows.size(), rows.samples(), rows.bits());
    let palette = rows.palette().to_vec();
    let mut pixels = vec![0; 3 * size.width * size.height];
    while let Some(row) = rows.next()? {
        let Place { y, first_x, step_x, len } = row.place;
        for i in 0..len {
            let color = match samples {
                Samples::Indexed => {
                    let index = usize::from(row.single(i));
                    *palette.get(index).ok_or_else(|| {
                        let reason = format!("palette entry {index} of {} is used", palette.len());
                        ReadError::damaged_because(Format::Png, reason)
                    })?
                }
                Samples::Gray | Samples::Rgb => eight_bits(&row, i, bits),
            };
            let at = 3 * (y * size.width + first_x + i * step_x);
            pixels[at..at + 3].copy_from_slice(&color);
        }
    }
    let exif = rows.exif().map(<[u8]>::to_vec);
    Ok((picture(size, pixels, Format::Png)?, exif))
}

fn eight_bits(row: &PngRow<'_>, i: usize, bits: u8) -> [u8; 3] {
    row.rgb(i).map(|sample| match bits {
        8 => sample as u8,
        16 => (sample >> 8) as u8,
        bits => (sample * 255 / ((1 << bits) - 1)) as u8,
    })
}
