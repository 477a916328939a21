//! A batch's masks at one resolution, as lists on the device.

use candle_core::{Result, Tensor, bail};

use super::{operators::TrainingOperators, sums::Sums};
use crate::Grouped;
use crate::device::NO_ROW;

/// Parts that an image's segments are summed up in.
const PARTS: usize = 256;

/// What a mask consists of, in host memory. `spadework_training::ops::Neighbourhoods` says how it is found.
#[derive(Clone, Copy, Debug)]
pub struct MaskLists<'a> {
    /// How many images.
    pub images: usize,
    /// Their cells' rows and columns.
    pub size: [usize; 2],
    /// Cells of a patch.
    pub area: usize,
    /// Columns of the first conv's weight: planes times `area`.
    pub columns: usize,
    /// The columns that each patch adds up: pairs of patch and column, patch by patch.
    pub read: &'a [(u32, u32)],
    /// The neighbourhood of every cell.
    pub ids: &'a [u32],
    /// The `area` patches of every neighbourhood, [`NO_ROW`] outside the map.
    pub taps: &'a [u32],
    /// How many patches there are.
    pub patches: usize,
    /// All cells, by neighbourhood and, within, by image.
    pub cells: &'a [u32],
    /// Stretches of `cells`, by neighbourhood: neighbourhood, image, start, end.
    pub segments: &'a [[u32; 4]],
}

/// The masks on the device.
pub struct Mask {
    pub(super) images: usize,
    pub(super) size: [usize; 2],
    pub(super) area: usize,
    pub(super) columns: usize,
    pub(super) patches: usize,
    /// Neighbourhoods.
    pub(super) rows: usize,
    pub(super) ids: Tensor,
    /// Weight columns of every patch, and patches of every column.
    pub(super) columns_of: Sums,
    pub(super) patches_of: Sums,
    /// Products (patch, tap) of every neighbourhood, and neighbourhoods of every product.
    pub(super) products_of: Sums,
    pub(super) neighbourhoods_of: Sums,
    pub(super) cells: Tensor,
    /// How many stretches of cells, and their four numbers.
    pub(super) segments: usize,
    pub(super) segment: Tensor,
    /// Segments of every neighbourhood.
    pub(super) segments_of: Sums,
    /// Segments by image, and where the parts of each image's begin.
    pub(super) by_image: Tensor,
    pub(super) image_parts: Tensor,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("size", &self.size).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Mask {
    /// Takes `lists` onto the device.
    ///
    /// # Errors
    /// When a list names what is not there.
    pub fn new(operators: &TrainingOperators, lists: &MaskLists<'_>) -> Result<Self> {
        lists.check()?;
        let MaskLists { images, size, area, columns, patches, .. } = *lists;
        let rows = lists.taps.len() / area;
        let sums =
            |grouped: &Grouped, rows| Sums::new(operators, &grouped.starts, Some(&grouped.items), rows);
        let read = lists.read.iter().copied();
        let products = patches * area;
        let pairs = (0..lists.taps.len() as u32).zip(lists.taps).filter(|(_, patch)| **patch != NO_ROW);
        let pairs = pairs.map(|(at, patch)| {
            let (row, tap) = (at / area as u32, at % area as u32);
            (row, patch * area as u32 + tap)
        });
        let by_row = Grouped::new(rows, pairs.clone());
        let by_product = Grouped::new(products, pairs.map(|(row, product)| (product, row)));
        let numbered = (0..).zip(lists.segments);
        let by_id = Grouped::new(rows, numbered.clone().map(|(index, segment)| (segment[0], index)));
        let by_image = Grouped::new(images, numbered.map(|(index, segment)| (segment[1], index)));
        let starts = &by_image.starts;
        let image_parts = starts.windows(2).flat_map(|two| even_parts(two[0], two[1]));
        let image_parts = image_parts.chain(starts.last().copied()).collect();
        Ok(Self {
            images,
            size,
            area,
            columns,
            patches,
            rows,
            ids: operators.upload(lists.ids.to_vec())?,
            columns_of: sums(&Grouped::new(patches, read.clone()), columns)?,
            patches_of: sums(&Grouped::new(columns, read.map(|(patch, column)| (column, patch))), patches)?,
            products_of: sums(&by_row, products)?,
            neighbourhoods_of: sums(&by_product, rows)?,
            cells: operators.upload(lists.cells.to_vec())?,
            segments: lists.segments.len(),
            segment: operators.upload(lists.segments.concat())?,
            segments_of: sums(&by_id, lists.segments.len())?,
            by_image: operators.upload(by_image.items)?,
            image_parts: operators.upload(image_parts)?,
        })
    }

    /// Parts that the segments are summed up in.
    pub(super) fn part_count(&self) -> usize {
        self.images * PARTS
    }
}

/// Where [`PARTS`] parts of `start..end` begin, as even as whole numbers are.
fn even_parts(start: u32, end: u32) -> impl Iterator<Item = u32> {
    let len = u64::from(end - start);
    (0..PARTS as u64).map(move |part| start + (len * part / PARTS as u64) as u32)
}

impl MaskLists<'_> {
    /// Every index is one of something that is there: the kernels rely on it.
    fn check(&self) -> Result<()> {
        let cells = self.images * self.size[0] * self.size[1];
        let rows = self.taps.len() / self.area.max(1);
        let below = |list: &[u32], bound: usize| list.iter().all(|index| (*index as usize) < bound);
        let whole = self.area > 0
            && self.taps.len() == rows * self.area
            && self.ids.len() == cells
            && self.cells.len() == cells
            && u32::try_from(self.patches * self.area).is_ok();
        let segment = |&[id, image, start, end]: &[u32; 4]| {
            (id as usize) < rows
                && (image as usize) < self.images
                && start <= end
                && end as usize <= self.cells.len()
        };
        let read = |&(patch, column): &(u32, u32)| {
            (patch as usize) < self.patches && (column as usize) < self.columns
        };
        let tap = |tap: &u32| *tap == NO_ROW || (*tap as usize) < self.patches;
        if !whole
            || !below(self.ids, rows)
            || !below(self.cells, cells)
            || !self.taps.iter().all(tap)
            || !self.segments.iter().all(segment)
            || !self.read.iter().all(read)
        {
            bail!("a mask's lists name cells, patches or neighbourhoods that are not there")
        }
        Ok(())
    }
}
