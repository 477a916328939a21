//! The Laplacian pyramid (Burt and Adelson, 1983): an image as details of ever coarser scales.

/// One level: row-major planes, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct PyramidLevel {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * height * width` values.
    pub values: Vec<f32>,
}

/// The binomial filter.
const FILTER: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

impl PyramidLevel {
    /// An image's bytes (row-major R, G, B) as planes from 0 to 255.
    pub fn of_pixels(width: usize, height: usize, pixels: &[u8]) -> Self {
        let plane = |channel: usize| pixels.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte));
        Self { width, height, values: (0..3).flat_map(plane).collect() }
    }

    /// Half as large, smoothed first.
    fn reduced(&self) -> Self {
        let smooth = self.smoothed(1.0);
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut values = Vec::with_capacity(3 * width * height);
        for row in smooth.values.chunks_exact(self.width).collect::<Vec<_>>().chunks_exact(self.height) {
            for row in row.iter().step_by(2) {
                values.extend(row.iter().step_by(2));
            }
        }
        Self { width, height, values }
    }

    /// At the size of `like`, which this was reduced from.
    fn expanded(&self, like: &Self) -> Self {
        let mut spread = Self { values: vec![0.0; like.values.len()], ..*like };
        for (index, &value) in self.values.iter().enumerate() {
            let (x, row) = (index % self.width, index / self.width);
            let (y, channel) = (row % self.height, row / self.height);
            spread.values[(channel * like.height + 2 * y) * like.width + 2 * x] = value;
        }
        spread.smoothed(2.0)
    }

    /// Filtered along both axes, mirrored at the borders, each axis scaled by `gain`.
    fn smoothed(&self, gain: f32) -> Self {
        let along_x = self.filtered(1, self.width, gain);
        along_x.filtered(self.width, self.height, gain)
    }

    /// Filtered along the axis of `length` cells whose neighbours lie `stride` apart.
    fn filtered(&self, stride: usize, length: usize, gain: f32) -> Self {
        let values = (0..self.values.len()).map(|index| {
            let place = (index / stride % length) as isize;
            let start = index - place as usize * stride;
            let tap = |(tap, weight): (isize, &f32)| {
                weight * self.values[start + mirrored(place + tap, length) * stride]
            };
            gain * (-2..=2).zip(&FILTER).map(tap).sum::<f32>()
        });
        Self { values: values.collect(), ..*self }
    }
}

/// The details of each scale down to a side of `smallest`, finest first; the last level is what is left.
pub fn laplacian(image: PyramidLevel, smallest: usize) -> Vec<PyramidLevel> {
    let mut levels = vec![image];
    while let Some(finest) = levels.last()
        && finest.width.min(finest.height) >= 2 * smallest
    {
        let coarser = finest.reduced();
        levels.push(coarser);
    }
    for index in 1..levels.len() {
        let (finer, coarser) = levels.split_at_mut(index);
        let finer = &mut finer[index - 1];
        let expanded = coarser[0].expanded(finer);
        finer.values.iter_mut().zip(&expanded.values).for_each(|(value, smooth)| *value -= smooth);
    }
    levels
}

/// Reflects about the border cells' middles, as in `abcd|cba`.
fn mirrored(place: isize, length: usize) -> usize {
    let last = length as isize - 1;
    let place = if place < 0 { -place } else { place };
    (if place > last { 2 * last - place } else { place }).clamp(0, last) as usize
}
