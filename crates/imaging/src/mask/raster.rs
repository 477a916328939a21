//! The pixels of a PNG that a map needs: raw samples at the map's size, taken while the rows go by.

use crate::png_rows::{Place, PngRow, PngRows, Samples};
use crate::{ReadError, Size, nearest};

/// Raw samples at `size`, row-major.
pub(crate) struct Raster {
    /// Size of the samples kept.
    pub(crate) size: Size,
    /// Bits of a sample in the file.
    pub(crate) bits: u8,
    pub(crate) pixels: Pixels,
    /// Where alpha is 0; empty when nothing can be transparent.
    pub(crate) transparent: Vec<bool>,
}

/// The samples, as the file means them.
pub(crate) enum Pixels {
    Indexed { indices: Vec<u8>, palette: Vec<[u8; 3]> },
    Gray(Vec<u16>),
    Rgb(Vec<[u16; 3]>),
}

impl Raster {
    /// Reads the pixels of `rows` that nearest sampling to `size` keeps; memory grows with `size` alone.
    ///
    /// # Errors
    /// When the file is cut off or damaged.
    pub(crate) fn read(mut rows: PngRows<'_>, size: Size) -> Result<Self, ReadError> {
        let sampling = Sampling::new(rows.size(), size);
        let bits = rows.bits();
        let count = size.width * size.height;
        let mut transparent = vec![false; if rows.may_be_transparent() { count } else { 0 }];
        let samples = rows.samples();
        let mut singles = vec![0; if samples == Samples::Rgb { 0 } else { count }];
        let mut colors = vec![[0; 3]; if samples == Samples::Rgb { count } else { 0 }];
        while let Some(row) = rows.next()? {
            sampling.each(&row, |to, from| {
                match samples {
                    Samples::Rgb => colors[to] = row.rgb(from),
                    Samples::Indexed | Samples::Gray => singles[to] = row.single(from),
                }
                if let Some(transparent) = transparent.get_mut(to) {
                    *transparent = row.alpha(from) == 0;
                }
            });
        }
        let pixels = match samples {
            Samples::Rgb => Pixels::Rgb(colors),
            Samples::Gray => Pixels::Gray(singles),
            Samples::Indexed => Pixels::Indexed {
                // An index has at most 8 bits.
                indices: singles.into_iter().map(|index| index as u8).collect(),
                palette: rows.palette().to_vec(),
            },
        };
        Ok(Self { size, bits, pixels, transparent })
    }

    /// Whether pixel `index` has alpha 0.
    pub(crate) fn is_transparent(&self, index: usize) -> bool {
        self.transparent.get(index).copied().unwrap_or(false)
    }
}

/// Which source pixel each kept pixel comes from.
struct Sampling {
    columns: Vec<usize>,
    rows: Vec<usize>,
}

impl Sampling {
    fn new(from: Size, to: Size) -> Self {
        if from == to {
            return Self { columns: (0..to.width).collect(), rows: (0..to.height).collect() };
        }
        Self {
            columns: nearest::sources(from.width, to.width),
            rows: nearest::sources(from.height, to.height),
        }
    }

    /// Calls `keep(index of the kept pixel, index within the row)` for every kept pixel that `row` holds.
    fn each(&self, row: &PngRow<'_>, mut keep: impl FnMut(usize, usize)) {
        let Place { y, first_x, step_x, .. } = row.place;
        let first = self.rows.partition_point(|&source| source < y);
        let width = self.columns.len();
        for line in (first..self.rows.len()).take_while(|&line| self.rows[line] == y) {
            for (column, &x) in self.columns.iter().enumerate() {
                if x >= first_x && (x - first_x) % step_x == 0 {
                    keep(line * width + column, (x - first_x) / step_x);
                }
            }
        }
    }
}
