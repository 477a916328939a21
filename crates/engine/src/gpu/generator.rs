//! A network and what runs its batches: plainly, or as graphs.

use std::cell::RefCell;

use candle_core::DType;
use spadework_kernels::device::{Download, Event};
use spadework_model::{Architecture, Norm, Tensors};

use super::{graphs::Graphs, network::Network, operators::Operators, weights::Target};
use crate::{EngineError, Input};

/// A generator on a device.
pub(crate) struct GpuGenerator {
    network: Network,
    graphs: Option<RefCell<Graphs>>,
}

impl Drop for GpuGenerator {
    fn drop(&mut self) {
        if let Some(graphs) = self.graphs.take() {
            drop(graphs);
            // Their memory would stay with the device's graphs, of which there may be no others.
            self.network.operators().trim();
        }
    }
}

impl GpuGenerator {
    /// Reads the generator and moves it to the target's device, which `operators` work on.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen, or the device has no room for it.
    pub(crate) fn load(
        architecture: &Architecture,
        generator: &Tensors,
        target: Target,
        operators: Box<dyn Operators>,
    ) -> Result<Self, EngineError> {
        Ok(Self { network: Network::load(architecture, generator, target, operators)?, graphs: None })
    }

    /// Runs batches as graphs from now on, where that can be.
    ///
    /// # Errors
    /// When no batch of this model can; the generator goes on without graphs.
    pub(crate) fn use_graphs(&mut self, architecture: &Architecture) -> Result<(), &'static str> {
        if architecture.norm == Norm::Instance {
            return Err(
                "a model with instance norm has statistics to compute, which candle does in a way that is not captured here",
            );
        }
        let graphs = Graphs::new(architecture, self.network.dtype(), self.network.table_columns());
        self.graphs = Some(RefCell::new(graphs));
        Ok(())
    }

    /// Graphs that are kept.
    #[cfg(all(test, feature = "cuda"))]
    pub(crate) fn graphs(&self) -> usize {
        self.graphs.as_ref().map_or(0, |graphs| graphs.borrow().kept())
    }

    /// What a log should be told of the batches since the last time.
    pub(crate) fn drain_warnings(&self) -> Vec<String> {
        self.graphs.as_ref().map_or_else(Vec::new, |graphs| graphs.borrow_mut().drain_warnings())
    }

    /// Begins images H W C as bytes, once the device has come to `after`; none of no inputs.
    ///
    /// # Errors
    /// When an input is not one of this model's, or the device fails.
    pub(crate) fn begin(
        &self,
        inputs: &[Input],
        after: &Event,
    ) -> Result<Option<Box<dyn Download>>, EngineError> {
        self.network.check(inputs)?;
        if inputs.is_empty() {
            return Ok(None);
        }
        let operators = self.network.operators();
        operators.begin(after)?;
        let images = match &self.graphs {
            Some(graphs) => graphs.borrow_mut().run(&self.network, inputs)?,
            None => self.network.run(inputs, DType::U8)?,
        };
        Ok(Some(operators.download(&images)?))
    }

    /// Images H W C as bytes.
    #[cfg(test)]
    pub(crate) fn generate(&self, inputs: &[Input]) -> Result<Vec<Vec<u8>>, EngineError> {
        match self.begin(inputs, &Event::default())? {
            Some(download) => Ok(download.finish()?.0),
            None => Ok(Vec::new()),
        }
    }

    /// Images C H W in [-1, 1].
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) fn generate_tensor(&self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.network.check(inputs)?;
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let images = self.network.run(inputs, DType::F32)?;
        let planes = images.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?;
        Ok(planes.to_vec2()?)
    }
}
