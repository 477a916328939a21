//! The distinct neighbourhoods of a batch's masks at one resolution, and where each occurs.

use std::{collections::HashMap, sync::Arc};

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use spadework_engine::plan::{CodeMap, Level, NO_PATCH, decode};
use spadework_kernels::{
    Grouped,
    device::training::{Mask, MaskLists, TrainingOperators},
};
use spadework_model::{Architecture, Grid, Modulation};

/// Most cells that one segment holds.
const SEGMENT: usize = 512;

/// Everything gamma and beta depend on at one resolution, numbered over the whole batch.
///
/// Two k×k convs see (2k−1)×(2k−1) cells of the mask: a neighbourhood. It is told by the k×k patches at its k² inner
/// cells, which are what the first conv sees. See `spadework_engine::plan::Level`.
#[derive(Clone, Debug)]
pub struct Neighbourhoods {
    /// Resolution of the layers that read them.
    pub grid: Grid,
    pub(super) area: usize,
    /// Codes of the distinct patches, k² each.
    pub(super) patches: Vec<u16>,
    /// The neighbourhood of every cell, image by image.
    pub(super) ids: Vec<u32>,
    /// The k² patches of every neighbourhood, `NO_PATCH` outside the map.
    pub(super) taps: Vec<u32>,
    /// For each tap, the neighbourhoods that have each patch there.
    pub(super) users: Vec<Grouped>,
    /// All cells, sorted by neighbourhood and, within, by image.
    pub(super) cells: Vec<u32>,
    /// Stretches of `cells` of one neighbourhood and image each.
    pub(super) segments: Vec<Segment>,
    /// The segments of every neighbourhood.
    pub(super) segments_of: Vec<u32>,
    /// The same on a device.
    mask: Option<Arc<Mask>>,
}

/// Some cells of one neighbourhood in one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) image: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Groups items `0..` by their keys; items without a key are left out.
fn grouped(keys: usize, key_of: impl Iterator<Item = Option<u32>> + Clone) -> Grouped {
    Grouped::new(keys, (0..).zip(key_of).filter_map(|(item, key)| Some((key?, item))))
}

impl Neighbourhoods {
    /// Numbers the neighbourhoods of label maps and edges, u8 (N, H, W), at every resolution of `architecture`, the
    /// smallest first.
    ///
    /// # Errors
    /// When the maps do not fit the architecture: their size, an id without a plane, edges missing or not wanted.
    pub fn of_batch(
        architecture: &Architecture,
        labels: &Tensor,
        edges: Option<&Tensor>,
    ) -> Result<Vec<Self>> {
        let mask = architecture.mask;
        let (n, h, w) = labels.dims3()?;
        if (h, w) != (mask.height, mask.width) {
            bail!("label maps of {h}x{w} were given, the model takes {}x{}", mask.height, mask.width)
        }
        if edges.is_some() != architecture.instance_edges {
            bail!("instance edges must be given for a model with edges, and for no other")
        }
        let labels = labels.flatten_all()?.to_vec1::<u8>()?;
        let edges = edges.map(|edges| edges.flatten_all()?.to_vec1::<u8>()).transpose()?;
        if let Some(id) = labels.iter().find(|id| usize::from(**id) >= architecture.label_planes()) {
            bail!("label id {id} has no plane; the model has {}", architecture.label_planes())
        }
        let image = |i: usize| i * h * w..(i + 1) * h * w;
        let maps: Vec<CodeMap> = (0..n)
            .map(|i| CodeMap::new(mask, &labels[image(i)], edges.as_ref().map(|edges| &edges[image(i)])))
            .collect();
        let mut grids: Vec<Grid> = architecture.stages().iter().map(|stage| stage.grid).collect();
        grids.dedup(); // stages never shrink
        let side = architecture.kernel;
        let level = |map: &CodeMap, grid| match architecture.modulation {
            Modulation::PerLayer => Level::new(&map.resized(grid), side),
            Modulation::Shared => Level::sampled(map, side, grid),
        };
        // A device waits for its masks: images and resolutions are read side by side.
        let levels = |grid: Grid| maps.par_iter().map(|map| level(map, grid)).collect();
        Ok(grids.into_par_iter().map(|grid| Self::merge(grid, side * side, levels(grid))).collect())
    }

    /// The same masks, on a device too.
    pub(super) fn on_device(
        mut self,
        operators: &TrainingOperators,
        architecture: &Architecture,
    ) -> Result<Self> {
        let area = self.area;
        let mut read = Vec::with_capacity(self.patches.len());
        for (patch, codes) in self.patches.chunks_exact(area).enumerate() {
            for_each_column(codes, area, architecture.label_planes(), |column| {
                read.push((patch as u32, column as u32));
            });
        }
        let segments: Vec<[u32; 4]> =
            self.segments.iter().map(|one| [one.id, one.image, one.start, one.end]).collect();
        let lists = MaskLists {
            images: self.ids.len() / (self.grid.height * self.grid.width),
            size: [self.grid.height, self.grid.width],
            area,
            columns: architecture.semantic_nc() * area,
            read: &read,
            ids: &self.ids,
            taps: &self.taps,
            patches: self.patches.len() / area,
            cells: &self.cells,
            segments: &segments,
        };
        self.mask = Some(Arc::new(Mask::new(operators, &lists)?));
        Ok(self)
    }

    /// The masks on the device that they were taken to.
    pub(super) fn mask(&self) -> Result<&Arc<Mask>> {
        let Some(mask) = &self.mask else { bail!("the masks are not on the device") };
        Ok(mask)
    }

    /// Number of distinct neighbourhoods.
    pub fn len(&self) -> usize {
        self.taps.len() / self.area
    }

    /// Whether there is none, as in a batch of no images.
    pub fn is_empty(&self) -> bool {
        self.taps.is_empty()
    }

    /// One numbering of what several images numbered each for itself.
    fn merge(grid: Grid, area: usize, levels: Vec<Level>) -> Self {
        let (mut patch_numbers, mut numbers) = (HashMap::new(), HashMap::new());
        let (mut patches, mut taps, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for level in levels {
            let renumbered: Vec<u32> = level
                .patches
                .chunks_exact(area)
                .map(|patch| number(&mut patch_numbers, &mut patches, patch))
                .collect();
            let neighbourhoods: Vec<u32> = level
                .taps
                .chunks_exact(area)
                .map(|local| {
                    let patch = |tap: &u32| renumbered.get(*tap as usize).copied().unwrap_or(NO_PATCH);
                    let global: Vec<u32> = local.iter().map(patch).collect();
                    number(&mut numbers, &mut taps, &global)
                })
                .collect();
            ids.extend(level.ids.iter().map(|&id| neighbourhoods[id as usize]));
        }
        Self::index(grid, area, patches, taps, ids)
    }

    fn index(grid: Grid, area: usize, patches: Vec<u16>, taps: Vec<u32>, ids: Vec<u32>) -> Self {
        let users = (0..area)
            .map(|tap| {
                let keys =
                    taps[tap..].iter().step_by(area).map(|&patch| (patch != NO_PATCH).then_some(patch));
                grouped(patches.len() / area, keys)
            })
            .collect();
        let rows = taps.len() / area;
        let Grouped { starts, items: cells } = grouped(rows, ids.iter().map(|&id| Some(id)));
        let each = (grid.height * grid.width) as u32;
        let mut segments = Vec::new();
        let mut segments_of = vec![0];
        for id in 0..rows {
            let (mut start, end) = (starts[id], starts[id + 1]);
            while start < end {
                let image = cells[start as usize] / each;
                let most = end.min(start + SEGMENT as u32);
                let same = cells[start as usize..most as usize].partition_point(|cell| cell / each == image);
                segments.push(Segment { id: id as u32, image, start, end: start + same as u32 });
                start += same as u32;
            }
            segments_of.push(segments.len() as u32);
        }
        Self { grid, area, patches, ids, taps, users, cells, segments, segments_of, mask: None }
    }
}

/// Calls `add` with the index of plane and tap, `plane · area + tap`, of every one of a patch's weight columns.
#[inline(always)]
pub(super) fn for_each_column(patch: &[u16], area: usize, label_planes: usize, mut add: impl FnMut(usize)) {
    for (tap, &code) in patch.iter().enumerate() {
        let Some((label, edge)) = decode(code) else { continue };
        add(label * area + tap);
        if edge {
            add(label_planes * area + tap);
        }
    }
}

/// The number of `item`, which is kept when it is new.
fn number<T: Clone + Eq + std::hash::Hash>(
    numbers: &mut HashMap<Box<[T]>, u32>,
    kept: &mut Vec<T>,
    item: &[T],
) -> u32 {
    if let Some(&number) = numbers.get(item) {
        return number;
    }
    let number = numbers.len() as u32;
    numbers.insert(item.into(), number);
    kept.extend_from_slice(item);
    number
}
