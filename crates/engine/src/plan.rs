//! What can be known of a mask before a device sees it.

pub(crate) mod codes;
pub(crate) mod level;
pub(crate) mod slice_index;
mod windows;

use std::sync::Arc;

use spadework_imaging::{EdgeMap, InstanceMap, LabelMap, Size};
use spadework_model::{Architecture, Grid, Modulation};

use crate::EngineError;
pub use codes::{CodeMap, decode};
pub use level::{Level, NO_PATCH};

/// Plans masks for one model. Cheap to clone; works on any thread.
#[derive(Clone, Debug)]
pub struct Planner {
    shape: Arc<PlanShape>,
}

/// All of an architecture that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanShape {
    mask: Size,
    label_planes: usize,
    instance_edges: bool,
    start: Option<Grid>,
    resolutions: Vec<Grid>,
    kernel: usize,
    modulation: Modulation,
}

/// A mask, checked for its model, and the distinct neighbourhoods in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model's shape that it was made for.
    pub(crate) shape: Arc<PlanShape>,
    pub(crate) labels: LabelMap,
    pub(crate) edges: Option<EdgeMap>,
    /// The mask at the latent grid's size, for a model that starts from it.
    pub(crate) start: Option<CodeMap>,
    /// One for each of [`resolutions`], in that order.
    pub(crate) levels: Vec<Level>,
}

/// The resolutions that residual blocks run at, the smallest first.
pub(crate) fn resolutions(architecture: &Architecture) -> Vec<Grid> {
    let mut grids: Vec<Grid> = architecture.stages().iter().map(|stage| stage.grid).collect();
    grids.dedup(); // stages never shrink
    grids
}

impl Plan {
    /// The mask.
    pub fn labels(&self) -> &LabelMap {
        &self.labels
    }

    /// Its instance edges, for a model that sees them.
    pub fn edges(&self) -> Option<&EdgeMap> {
        self.edges.as_ref()
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        let edges = self.edges.as_ref().map_or(0, |edges| edges.edges().len());
        let start = self.start.as_ref().map_or(0, |map| size_of_val(&map.codes[..]));
        self.labels.ids().len() + edges + start + self.levels.iter().map(Level::bytes).sum::<usize>()
    }
}

impl PlanShape {
    /// Of the model with this architecture.
    pub(crate) fn of(architecture: &Architecture) -> Self {
        Self {
            mask: Size::new(architecture.mask.width, architecture.mask.height),
            label_planes: architecture.label_planes(),
            instance_edges: architecture.instance_edges,
            start: architecture.z_dim.is_none().then_some(architecture.grid),
            resolutions: resolutions(architecture),
            kernel: architecture.kernel,
            modulation: architecture.modulation,
        }
    }

    fn level(&self, map: &CodeMap, grid: Grid) -> Level {
        match self.modulation {
            Modulation::PerLayer => Level::new(&map.resized(grid), self.kernel),
            Modulation::Shared => Level::sampled(map, self.kernel, grid),
        }
    }
}

impl Planner {
    /// Plans for any engine of this architecture.
    pub fn new(architecture: &Architecture) -> Self {
        Self { shape: Arc::new(PlanShape::of(architecture)) }
    }

    /// Plans one mask. A model with an edge plane takes its edges from `instances`; without them it has none.
    ///
    /// # Errors
    /// When the mask or the instance map has another size than the model's masks, or an id has no plane.
    pub fn plan(&self, labels: &LabelMap, instances: Option<&InstanceMap>) -> Result<Plan, EngineError> {
        self.plan_edges(labels, instances.map(EdgeMap::of))
    }

    /// Plans one mask whose instances' edges are known. A model without an edge plane does without them.
    ///
    /// # Errors
    /// When the mask or the edge map has another size than the model's masks, or an id has no plane.
    pub fn plan_edges(&self, labels: &LabelMap, edges: Option<EdgeMap>) -> Result<Plan, EngineError> {
        let shape = &self.shape;
        let sizes = [Some(labels.size()), edges.as_ref().map(EdgeMap::size)];
        if let Some(size) = sizes.into_iter().flatten().find(|size| *size != shape.mask) {
            return Err(EngineError::Input(format!("the map is {size}, the model takes {}", shape.mask)));
        }
        if let Some(id) = labels.ids().iter().find(|id| usize::from(**id) >= shape.label_planes) {
            return Err(EngineError::Input(format!(
                "label id {id} has no plane; the model has {}",
                shape.label_planes
            )));
        }
        let edges = shape.instance_edges.then(|| match edges {
            Some(edges) => Ok(edges),
            None => EdgeMap::new(shape.mask.width, shape.mask.height, vec![0; labels.ids().len()]),
        });
        let edges = edges.transpose().map_err(|error| EngineError::Input(error.to_string()))?;
        let grid = Grid { height: shape.mask.height, width: shape.mask.width };
        let map = CodeMap::new(grid, labels.ids(), edges.as_ref().map(EdgeMap::edges));
        Ok(Plan {
            shape: Arc::clone(shape),
            labels: labels.clone(),
            edges,
            start: shape.start.map(|grid| map.resized(grid)),
            levels: shape.resolutions.iter().map(|&grid| shape.level(&map, grid)).collect(),
        })
    }
}
