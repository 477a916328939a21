//! Normalisation and modulation with the leaky ReLU behind them, forward and backward.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    calls::{expect, expect_f32, memory, number},
    mask::Mask,
    operators::TrainingOperators,
    sums::{parts_of_map, total},
};
use crate::device::call::{
    Argument,
    Argument::{Float, Memory, Number},
};

/// What a map is normalised by and modulated with.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Mean, `1 / √(variance + ε)` and variance, (1 or N, 3, C).
    pub statistics: &'a Tensor,
    /// Gamma and beta of every neighbourhood, (neighbourhoods, 2C); none only normalises. Where the mask is twice as
    /// large as the map, this is read up-sampled.
    pub table: Option<(&'a Tensor, &'a Mask)>,
    /// Slope of the ReLU behind it, below zero.
    pub slope: f32,
}

/// What the backward pass of a layer adds up before it can go on.
#[derive(Debug)]
pub struct LayerSums {
    /// The gradients of gamma and beta over every segment of the mask, (segments, 2C).
    pub segments: Option<Tensor>,
    /// What the map's gradient owes to the statistics, over the local cells: sums of the normalised map's gradient, and of
    /// that times the map, (1 or N, 2, C) in f64.
    pub owed: Tensor,
}

/// A layer's sizes, once they are known to agree.
struct Sizes {
    images: usize,
    height: usize, // of the output
    width: usize,
    channels: usize,
    shift: u32,
    per_image: u32,
}

impl Layer<'_> {
    fn sizes(&self, x: &Tensor) -> Result<Sizes> {
        let (images, h, w, channels) = x.dims4()?;
        expect_f32(x)?;
        let [height, width] = self.table.map_or([h, w], |(_, mask)| mask.size);
        let shift = match (h, w) {
            same if same == (height, width) => 0,
            _ if (2 * h, 2 * w) == (height, width) => 1,
            _ => bail!("a map of {h}x{w} is not modulated at {height}x{width}"),
        };
        let rows = self.statistics.dim(0)?;
        if rows != 1 && rows != images {
            bail!("{rows} images' statistics do not normalise {images} images")
        }
        expect(self.statistics, DType::F32, &[rows, 3, channels])?;
        if let Some((table, mask)) = self.table {
            expect(table, DType::F32, &[mask.rows, 2 * channels])?;
            if mask.images != images {
                bail!("masks of {} images were given for {images}", mask.images)
            }
        }
        Ok(Sizes { images, height, width, channels, shift, per_image: u32::from(rows > 1) })
    }

    fn table(&self) -> Option<&Tensor> {
        self.table.map(|(table, _)| table)
    }

    fn ids(&self) -> Option<&Tensor> {
        self.table.map(|(_, mask)| &mask.ids)
    }
}

impl Sizes {
    fn output(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels]
    }

    /// `items`, then what most kernels are told next.
    fn arguments<'a>(&self, items: usize, slope: f32) -> Result<Vec<Argument<'a>>> {
        Ok(vec![
            number(items)?,
            number(self.channels)?,
            number(self.height)?,
            number(self.width)?,
            Number(self.shift),
            Number(self.per_image),
            Float(slope),
        ])
    }
}

impl TrainingOperators {
    /// The layer's output, (N, H, W, C).
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn modulate(&self, x: &Tensor, layer: &Layer<'_>) -> Result<Tensor> {
        let sizes = layer.sizes(x)?;
        let out = self.empty(&sizes.output())?;
        let cells = sizes.images * sizes.height * sizes.width;
        let mut arguments = sizes.arguments(cells, layer.slope)?;
        arguments.extend([Memory(x), memory(layer.ids()), memory(layer.table()), Memory(layer.statistics)]);
        self.run("modulate", cells * sizes.channels, arguments, &out)?;
        Ok(out)
    }

    /// The sums of the layer's backward pass, from its input, its output and the gradient behind it.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn layer_sums(&self, x: &Tensor, y: &Tensor, dy: &Tensor, layer: &Layer<'_>) -> Result<LayerSums> {
        let sizes = layer.sizes(x)?;
        expect(y, DType::F32, &sizes.output())?;
        expect(dy, DType::F32, &sizes.output())?;
        let (c, rows) = (sizes.channels, layer.statistics.dim(0)?);
        let Some((table, mask)) = layer.table else {
            let (parts, mut arguments) = parts_of_map([sizes.images, sizes.height * sizes.width, c])?;
            let out = self.backend.empty(&[parts, 2, c], DType::F64)?;
            arguments.extend([Number(sizes.per_image), Float(layer.slope)]);
            arguments.extend([x, y, dy, layer.statistics].map(Memory));
            self.run("normalize_parts", parts * c, arguments, &out)?;
            return Ok(LayerSums { segments: None, owed: total(&out, rows)? });
        };
        let segments = self.empty(&[mask.segments, 2 * c])?;
        let mut arguments = sizes.arguments(mask.segments, layer.slope)?;
        arguments.extend([&mask.segment, &mask.cells, x, y, dy, layer.statistics].map(Memory));
        self.run("segment_sums", mask.segments * c, arguments, &segments)?;

        let parts = mask.part_count();
        let out = self.backend.empty(&[parts, 2, c], DType::F64)?;
        let mut arguments = vec![number(parts)?, number(c)?];
        arguments.extend([&mask.image_parts, &mask.by_image, &mask.segment, table, &segments].map(Memory));
        self.run("owed_parts", parts * c, arguments, &out)?;
        Ok(LayerSums { segments: Some(segments), owed: total(&out, rows)? })
    }

    /// The table's gradient (neighbourhoods, 2C), from the sums over segments.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn modulation_gradient(&self, segments: &Tensor, mask: &Mask) -> Result<Tensor> {
        self.sum_rows(&mask.segments_of, segments, None, false)
    }

    /// The input's gradient. `owed`, (1 or N, 2, C) in f32, is what it owes to the statistics, as a mean over their cells;
    /// none where they are constants.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn modulate_gradient(
        &self,
        x: &Tensor,
        y: &Tensor,
        dy: &Tensor,
        layer: &Layer<'_>,
        owed: Option<&Tensor>,
    ) -> Result<Tensor> {
        let sizes = layer.sizes(x)?;
        expect(y, DType::F32, &sizes.output())?;
        expect(dy, DType::F32, &sizes.output())?;
        if let Some(owed) = owed {
            expect(owed, DType::F32, &[layer.statistics.dim(0)?, 2, sizes.channels])?;
        }
        let dx = self.empty(x.dims())?;
        let mut arguments = sizes.arguments(x.elem_count() / sizes.channels, layer.slope)?;
        arguments.extend([
            Memory(x),
            memory(layer.ids()),
            memory(layer.table()),
            Memory(layer.statistics),
            memory(owed),
            Memory(y),
            Memory(dy),
        ]);
        self.run("modulate_gradient", x.elem_count(), arguments, &dx)?;
        Ok(dx)
    }
}
