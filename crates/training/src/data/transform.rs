//! From a file's size to the network's: resize, crop, flip.

use clap::ValueEnum;
use rand::{Rng, RngExt as _};
use spadework_imaging::{EdgeMap, InstanceMap, LabelMap, RgbImage, ShapeError, Size};

use super::Sample;

/// How a pair is brought to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum Preprocess {
    /// To the load size on both sides, whatever the shape, then a random crop. Published for COCO, ADE20K and Facades.
    ResizeAndCrop,
    /// To the network's size, without a crop. Published for Cityscapes.
    Fixed,
    /// The shorter side to the load size, the shape kept, then a random crop.
    ShortSide,
}

/// How pairs are brought to the network's size.
#[derive(Clone, Copy, Debug)]
pub struct Transform {
    /// The way.
    pub preprocess: Preprocess,
    /// The side that a pair is resized to before the crop.
    pub load_size: usize,
    /// The network's size.
    pub size: Size,
    /// Mirror half of the samples.
    pub flip: bool,
}

/// A pair as its files have it.
pub(super) struct Original {
    pub(super) labels: LabelMap,
    pub(super) instances: Option<InstanceMap>,
    pub(super) image: RgbImage,
}

impl Transform {
    /// The sample of a pair. `random` decides where the crop lies and whether the sample is mirrored.
    pub(super) fn apply(&self, original: &Original, random: &mut impl Rng) -> Result<Sample, ShapeError> {
        let scaled = self.scaled(original.image.size());
        let left = random.random_range(0..=scaled.width - self.size.width);
        let top = random.random_range(0..=scaled.height - self.size.height);
        let window =
            CropWindow { left, top, size: self.size, mirrored: random.random_bool(0.5) && self.flip };
        let Size { width, height } = self.size;
        let labels = original.labels.resized(scaled);
        let ids = window.cut(labels.ids(), scaled.width, 1);
        let edges = original.instances.as_ref().map(|instances| {
            let ids = window.cut(instances.resized(scaled).ids(), scaled.width, 1);
            InstanceMap::new(width, height, ids).map(|instances| EdgeMap::of(&instances))
        });
        let pixels = window.cut(original.image.resized(scaled).pixels(), scaled.width, 3);
        Ok(Sample {
            labels: LabelMap::new(width, height, ids, labels.classes())?,
            edges: edges.transpose()?,
            image: RgbImage::new(width, height, pixels)?,
        })
    }

    /// The size before the crop, never below the network's.
    pub(super) fn scaled(&self, original: Size) -> Size {
        let scaled = match self.preprocess {
            Preprocess::Fixed => self.size,
            Preprocess::ResizeAndCrop => Size::new(self.load_size, self.load_size),
            Preprocess::ShortSide => {
                let short = original.width.min(original.height) as f64;
                let scale = |side: usize| (side as f64 * self.load_size as f64 / short).round() as usize;
                Size::new(scale(original.width), scale(original.height))
            }
        };
        Size::new(scaled.width.max(self.size.width), scaled.height.max(self.size.height))
    }
}

/// A part of a map or image, maybe mirrored.
struct CropWindow {
    left: usize,
    top: usize,
    size: Size,
    mirrored: bool,
}

impl CropWindow {
    /// The window of row-major `values`, `channels` to a pixel, `width` pixels to a row.
    fn cut<T: Copy>(&self, values: &[T], width: usize, channels: usize) -> Vec<T> {
        let mut out = Vec::with_capacity(self.size.width * self.size.height * channels);
        for y in self.top..self.top + self.size.height {
            let row = &values[(y * width + self.left) * channels..][..self.size.width * channels];
            if self.mirrored {
                out.extend(row.rchunks_exact(channels).flatten());
            } else {
                out.extend(row);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Label, instance and colour of a pixel all tell its column.
    fn original(width: usize, height: usize) -> Original {
        let columns: Vec<u8> = (0..width * height).map(|i| (i % width) as u8).collect();
        Original {
            labels: LabelMap::new(width, height, columns.clone(), 256).unwrap(),
            instances: Some(
                InstanceMap::new(width, height, columns.iter().map(|&c| u32::from(c / 4)).collect()).unwrap(),
            ),
            image: RgbImage::new(width, height, columns.iter().flat_map(|&c| [c; 3]).collect()).unwrap(),
        }
    }

    fn transform(preprocess: Preprocess, load_size: usize, width: usize, height: usize) -> Transform {
        Transform { preprocess, load_size, size: Size::new(width, height), flip: true }
    }

    #[test]
    fn labels_edges_and_image_stay_together_through_crop_and_flip() {
        let transform = transform(Preprocess::ResizeAndCrop, 24, 16, 16);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut mirrored = 0;
        for _ in 0..40 {
            let sample = transform.apply(&original(24, 24), &mut random).unwrap();
            let row = &sample.labels.ids()[..16];
            let colors: Vec<u8> = sample.image.pixels()[..48].iter().step_by(3).copied().collect();
            assert_eq!(row, colors);
            assert!(row.windows(2).all(|pair| pair[0].abs_diff(pair[1]) == 1));
            mirrored += usize::from(row[0] > row[1]);
            for (x, pair) in row.windows(2).enumerate() {
                let border = pair[0] / 4 != pair[1] / 4;
                assert!(!border || sample.edges.as_ref().unwrap().edges()[x] == 1);
            }
        }
        assert!((10..30).contains(&mirrored), "{mirrored} of 40 are mirrored");
    }

    #[test]
    fn the_short_side_keeps_the_shape_and_resize_and_crop_does_not() {
        let wide = Size::new(640, 480);
        assert_eq!(transform(Preprocess::ShortSide, 286, 256, 256).scaled(wide), Size::new(381, 286));
        assert_eq!(transform(Preprocess::ResizeAndCrop, 286, 256, 256).scaled(wide), Size::new(286, 286));
        assert_eq!(transform(Preprocess::Fixed, 286, 512, 256).scaled(wide), Size::new(512, 256));
    }

    #[test]
    fn a_load_size_below_the_network_s_still_fills_it() {
        let sample = transform(Preprocess::ShortSide, 8, 16, 16)
            .apply(&original(20, 10), &mut ChaCha8Rng::seed_from_u64(2))
            .unwrap();
        assert_eq!(sample.image.size(), Size::new(16, 16));
    }
}
