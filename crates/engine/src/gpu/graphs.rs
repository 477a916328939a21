//! Batches as graphs: what a batch gives to its device is captured once for each number of images and given to it again
//! for every later batch of as many, in one call.
//!
//! Tables are no part of a graph, since their sizes differ from mask to mask: each batch's are made first, in memory that
//! all sizes share. That memory and whatever else captured work reads stays where it is; when any of it has to move, all
//! graphs go and are captured anew. Images are those of plain runs to the last bit.

mod capacity;
mod memory;
mod policy;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod tests;

use candle_core::{DType, Tensor};
use spadework_model::Architecture;

use capacity::Capacity;
use memory::{Memory, Shapes};
use policy::{GraphCache, Step};

use super::{batch::Batch, batch_level::BatchLevel, network::Network, operators::Graph};
use crate::{EngineError, Input, plan::resolutions};

/// Graphs that are kept: one for every batch that a server runs unless it is told to try larger ones.
const MOST: usize = 32;

/// A network's graphs.
pub(super) struct Graphs {
    shapes: Shapes,
    cache: GraphCache<Box<dyn Graph>>,
    memory: Option<Memory>,
    /// For how many images it is, or was to be when there was no capacity.
    held: usize,
    /// What `Operators::moves` was when the graphs were captured.
    moves: usize,
    warnings: Vec<String>,
}

impl Graphs {
    /// For a network of these layers' columns, block by block.
    pub(super) fn new(architecture: &Architecture, dtype: DType, columns: Vec<Vec<usize>>) -> Self {
        let levels = resolutions(architecture);
        let place = |grid| levels.iter().position(|level| *level == grid).unwrap_or_default();
        let blocks = architecture.stages().iter().map(|stage| place(stage.grid)).zip(columns).collect();
        let shapes = Shapes {
            dtype,
            start: (architecture.grid, architecture.start_width()),
            blocks,
            levels,
            noise: architecture.noise_planes(),
            image: architecture.picture(),
        };
        Self { shapes, cache: GraphCache::new(MOST), memory: None, held: 0, moves: 0, warnings: Vec::new() }
    }

    /// Images (N, H, W, 3) as bytes, of inputs that have been checked. They lie there until the next batch.
    pub(super) fn run(&mut self, network: &Network, inputs: &[Input]) -> Result<Tensor, EngineError> {
        let images = inputs.len();
        let step = self.cache.step(images);
        let done = match step {
            Step::Plainly => network.run(inputs, DType::U8),
            Step::AsGraph => self.run_as_graph(network, inputs),
        };
        let done = match done {
            Err(error) if error.is_out_of_memory() => {
                let held = self.let_go(network);
                let again = network.run(inputs, DType::U8);
                if again.is_ok() {
                    self.need_less_than(held);
                }
                again
            }
            done => done,
        };
        if done.is_ok() {
            self.cache.ran(images);
        }
        done
    }

    /// Graphs that are kept.
    #[cfg(all(test, feature = "cuda"))]
    pub(super) fn kept(&self) -> usize {
        self.cache.kept()
    }

    /// What a log should be told since the last time.
    pub(super) fn drain_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn run_as_graph(&mut self, network: &Network, inputs: &[Input]) -> Result<Tensor, EngineError> {
        let images = inputs.len();
        let levels = network.batch_levels(inputs);
        let need = Capacity { images, rows: levels.iter().map(BatchLevel::rows).collect() };
        let batch = self.memory_for(network, &need)?.of(images)?;
        network.prepare(inputs, &levels, &batch)?;
        if let Err(error) = self.launch(network, images, &batch) {
            if error.is_out_of_memory() {
                return Err(error);
            }
            self.cache.refuse(images);
            self.warnings.push(format!("batches of {images} run without a CUDA graph: {}", causes(&error)));
            network.work(&batch)?;
        }
        Ok(batch.images)
    }

    /// Memory where a batch finds capacity.
    fn memory_for(&mut self, network: &Network, need: &Capacity) -> Result<&Memory, EngineError> {
        let before = self.memory.as_ref().map(|memory| memory.capacity().clone());
        let memory = match self.memory.take_if(|memory| memory.capacity().holds(need)) {
            Some(memory) => memory,
            None => {
                self.cache.drop_graphs();
                self.memory = None; // first, so that both need not fit
                let capacity = Capacity::grown(before.as_ref(), need, &self.shapes.cells());
                self.held = capacity.images;
                Memory::new(network.operators(), &self.shapes, capacity)?
            }
        };
        Ok(self.memory.insert(memory))
    }

    /// Gives the device the work on `batch`, captured now or earlier.
    fn launch(&mut self, network: &Network, images: usize, batch: &Batch) -> Result<(), EngineError> {
        let operators = network.operators();
        if self.moves != operators.moves() {
            self.cache.drop_graphs();
            self.moves = operators.moves();
        }
        if self.cache.graph(images).is_none() {
            let graph = operators.capture(batch.tensors(), &mut || network.work(batch))?;
            self.cache.keep(images, graph);
        }
        match self.cache.graph(images) {
            Some(graph) => Ok(graph.launch()?),
            None => Ok(network.work(batch)?),
        }
    }

    /// Gives all memory back. Answers for how many images it was, or would have been.
    fn let_go(&mut self, network: &Network) -> usize {
        self.cache.drop_graphs();
        self.memory = None;
        network.operators().trim();
        std::mem::take(&mut self.held)
    }

    /// A batch that had no room beside memory for `held` images has found it without.
    fn need_less_than(&mut self, held: usize) {
        // Half of a power of two: the largest batch that needs less.
        if held > 0 && self.cache.lower_to(held / 2) {
            let now = match held / 2 {
                0 => "none is used any more".to_owned(),
                most => format!("only batches of up to {most} run as graphs from now on"),
            };
            self.warnings.push(format!("no memory for CUDA graphs of batches of up to {held}: {now}"));
        }
    }
}

/// What lies behind an error, in one line and without a backtrace.
fn causes(error: &EngineError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let causes = causes.filter_map(|cause| cause.to_string().lines().next().map(str::to_owned));
    causes.collect::<Vec<_>>().join(": ")
}
