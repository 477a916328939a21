//! The whole generator, its working memory and its threads.

use rayon::{ThreadPool, ThreadPoolBuilder};
use spadework_model::{Architecture, Grid, Prefixed, Stage, Tensors};

use super::{
    block::Block,
    features::{Features, blocks, cells},
    image::ToImage,
    modulate::Activated,
    policy::Policy,
    spade::{SharedPredictor, first_conv},
    start::Start,
    table_layout::{TableLayout, TableMemory},
    tables::Tables,
    workspace::{Workspace, WorkspaceSizes},
};
use crate::{Cached, EngineError, Input, Phase, ProfileSink, expected_input::ExpectedInput};
use spadework_kernels::cpu::{BLOCK, InstructionSet};
use spadework_kernels::device::DeviceError;

/// A generator packed for this processor.
pub(crate) struct CpuGenerator {
    policy: Policy,
    pool: ThreadPool,
    grid: Grid,
    image: Grid,
    expected: ExpectedInput,
    width: usize,
    start: Start,
    blocks: Vec<Block>,
    to_image: ToImage,
    workspace: Workspace,
}

impl CpuGenerator {
    /// Reads and packs the generator. About `table_cache` bytes of tables stay from one mask to the next.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen, or threads cannot be had.
    pub(crate) fn load(
        architecture: &Architecture,
        generator: &Tensors,
        policy: Policy,
        threads: usize,
        table_cache: usize,
    ) -> Result<Self, EngineError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("engine-{index}"))
            .build()
            .map_err(|error| EngineError::from(DeviceError::new("cpu", error.to_string())))?;
        architecture.check().map_err(|error| EngineError::Network(candle_core::Error::wrap(error)))?;
        let mut layout = TableLayout::new(architecture, policy);
        let (start, blocks, to_image) = pool.install(|| {
            let root = Prefixed::root(generator);
            let mut shared = SharedPredictor::read(&root, architecture, first_conv(architecture))?;
            let stages = architecture.stages().into_iter();
            let blocks = stages
                .map(|stage| Block::read(&root, architecture, stage, policy, &mut layout, shared.as_mut()))
                .collect::<Result<Vec<_>, _>>()?;
            let to_image = ToImage::read(&root, architecture.final_width(), policy)?;
            Ok::<_, EngineError>((Start::read(&root, architecture)?, blocks, to_image))
        })?;
        let threads = pool.current_num_threads();
        let tables = Tables::new(layout, table_cache, TableMemory::new(threads));
        Ok(Self {
            policy,
            grid: architecture.grid,
            image: architecture.picture(),
            expected: ExpectedInput::of(architecture),
            width: architecture.final_width(),
            workspace: Workspace::new(&sizes(architecture, &blocks, &to_image, threads), tables, threads),
            start,
            blocks,
            to_image,
            pool,
        })
    }

    /// An image C H W in [-1, 1], and what the cache of tables had for its mask.
    pub(crate) fn generate(
        &mut self,
        input: &Input,
        sink: ProfileSink<'_>,
    ) -> Result<(Vec<f32>, Cached), EngineError> {
        self.expected.check(input)?;
        let Self { policy, pool, grid, image, width, start, blocks, to_image, workspace, .. } = self;
        let isa = policy.isa;
        Ok(pool.install(|| {
            start.run(isa, input, *grid, &mut workspace.x);
            // From here on nothing fails, so every row that is placed is made.
            let cached = workspace.parts.tables.place(&input.plan.levels);
            sink(Phase::Start);
            for (index, block) in blocks.iter().enumerate() {
                block.run(isa, input.noise.get(index).map(Vec::as_slice), workspace, sink);
            }
            let Workspace { x, dx, parts, .. } = workspace;
            let input = Activated(Features::new(x, *width, *image));
            let products = &mut dx[..cells(*image) * BLOCK];
            let values = to_image.run(isa, &input, (&mut parts.held, &parts.scratch), products);
            sink(Phase::Image);
            (values, cached)
        }))
    }

    /// The instruction set that most products are taken with.
    pub(crate) fn instruction_set(&self) -> InstructionSet {
        self.policy.instruction_set()
    }

    /// Bytes of tables that are held for masks to come.
    pub(crate) fn table_bytes(&self) -> usize {
        self.workspace.parts.tables.bytes()
    }

    /// Forgets the tables.
    pub(crate) fn forget(&mut self) {
        self.workspace.parts.tables.clear();
    }
}

/// What the widest layers need.
fn sizes(
    architecture: &Architecture,
    blocks: &[Block],
    to_image: &ToImage,
    threads: usize,
) -> WorkspaceSizes {
    let stages = architecture.stages();
    let most = |len: &dyn Fn(&Stage) -> usize| stages.iter().map(len).max().unwrap_or(0);
    let start = padded(architecture.start_width(), architecture.grid);
    let image = architecture.picture();
    let held = |block: &Block| block.convs().map(|conv| conv.held_len(block.stage.grid, threads)).max();
    let last = to_image.taps.held_len(image, threads);
    WorkspaceSizes {
        map: most(&|stage| padded(stage.output, stage.grid)).max(start),
        inner: most(&|stage| padded(stage.middle(), stage.grid)).max(cells(image) * BLOCK),
        held: blocks.iter().filter_map(held).fold(last, usize::max),
    }
}

/// Elements in `channels` channels of `grid`.
fn padded(channels: usize, grid: Grid) -> usize {
    blocks(channels) * cells(grid) * BLOCK
}
