//! What can be known of a mask before a device sees it.

use spadework_imaging::{EdgeMap, InstanceMap, LabelMap, Size};
use spadework_model::Architecture;

use crate::EngineError;

/// Plans masks for one model. Cheap to clone; works on any thread.
#[derive(Clone, Debug)]
pub struct Planner {
    mask: Size,
    label_planes: usize,
    instance_edges: bool,
}

/// A mask, checked for its model.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) labels: LabelMap,
    pub(crate) edges: Option<EdgeMap>,
}

impl Planner {
    /// Plans for any engine of this architecture.
    pub fn new(architecture: &Architecture) -> Self {
        Self {
            mask: Size::new(architecture.mask.width, architecture.mask.height),
            label_planes: architecture.label_planes(),
            instance_edges: architecture.instance_edges,
        }
    }

    /// Plans one mask. A model with an edge plane takes its edges from `instances`; without them it has none.
    ///
    /// # Errors
    /// When the mask or the instance map has another size than the model's masks, or an id has no plane.
    pub fn plan(&self, labels: &LabelMap, instances: Option<&InstanceMap>) -> Result<Plan, EngineError> {
        let sizes = [Some(labels.size()), instances.map(InstanceMap::size)];
        if let Some(size) = sizes.into_iter().flatten().find(|size| *size != self.mask) {
            return Err(EngineError::Input(format!("the map is {size}, the model takes {}", self.mask)));
        }
        if let Some(id) = labels.ids().iter().find(|id| usize::from(**id) >= self.label_planes) {
            return Err(EngineError::Input(format!(
                "label id {id} has no plane; the model has {}",
                self.label_planes
            )));
        }
        let edges = self.instance_edges.then(|| match instances {
            Some(instances) => Ok(EdgeMap::of(instances)),
            None => EdgeMap::new(self.mask.width, self.mask.height, vec![0; labels.ids().len()]),
        });
        let edges = edges.transpose().map_err(|error| EngineError::Input(error.to_string()))?;
        Ok(Plan { labels: labels.clone(), edges })
    }
}
