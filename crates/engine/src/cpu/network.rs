//! The whole generator, its working memory and its threads.

use std::sync::Mutex;

use rayon::{ThreadPool, ThreadPoolBuilder};
use spadework_model::{Architecture, Grid, Prefixed, Tensors};

use super::{
    block::Block,
    features::{Features, blocks, cells},
    image::ToImage,
    modulate::Activated,
    policy::Policy,
    spade::SharedPredictor,
    start::Start,
    tables::{Shelf, TableMemory, Tables},
};
use crate::{
    Cached, EngineError, Input, InstructionSet, Part, Watch, buffer::Buffer, isa::BLOCK, plan::resolutions,
};

/// A generator packed for this processor.
pub(crate) struct Network {
    policy: Policy,
    pool: ThreadPool,
    grid: Grid,
    picture: Grid,
    resolutions: Vec<Grid>,
    noise_planes: Vec<Grid>,
    width: usize,
    start: Start,
    blocks: Vec<Block>,
    to_image: ToImage,
    workspace: Workspace,
}

/// Feature maps of one picture in the making, as large as the widest layer needs.
pub(super) struct Workspace {
    pub(super) x: Buffer<f32>,
    pub(super) out: Buffer<f32>,
    pub(super) dx: Buffer<f32>,
    pub(super) parts: Parts,
}

/// What layers work in, besides feature maps.
pub(super) struct Parts {
    pub(super) tables: Tables,
    /// Some rows of a conv's input, transformed where the conv wants them so.
    pub(super) held: Buffer<f32>,
    pub(super) scratch: Scratch,
}

/// Working memory of each thread.
pub(super) struct Scratch(Vec<Mutex<Buffer<f32>>>);

impl Network {
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
            .map_err(|error| EngineError::Device { name: "cpu".to_owned(), reason: error.to_string() })?;
        architecture.check().map_err(|error| EngineError::Network(candle_core::Error::wrap(error)))?;
        let mut shelf = Shelf::new(architecture, policy);
        let (start, blocks, to_image) = pool.install(|| {
            let root = Prefixed::root(generator);
            let mut shared = SharedPredictor::read(&root, architecture)?;
            let stages = architecture.stages().into_iter();
            let blocks = stages
                .map(|stage| Block::read(&root, architecture, stage, policy, &mut shelf, shared.as_mut()))
                .collect::<Result<Vec<_>, _>>()?;
            let to_image = ToImage::read(&root, architecture.final_width(), policy)?;
            Ok::<_, EngineError>((Start::read(&root, architecture)?, blocks, to_image))
        })?;
        let threads = pool.current_num_threads();
        let tables = shelf.tables(table_cache, TableMemory::new(threads));
        Ok(Self {
            policy,
            grid: architecture.grid,
            picture: architecture.picture(),
            resolutions: resolutions(architecture),
            noise_planes: architecture.noise_planes(),
            width: architecture.final_width(),
            workspace: Workspace::new(architecture, &blocks, &to_image, tables, threads),
            start,
            blocks,
            to_image,
            pool,
        })
    }

    /// A picture C H W in [-1, 1], and what the cache of tables had for its mask.
    pub(crate) fn generate(
        &mut self,
        input: &Input,
        watch: Watch<'_>,
    ) -> Result<(Vec<f32>, Cached), EngineError> {
        self.check(input)?;
        let Self { policy, pool, grid, picture, width, start, blocks, to_image, workspace, .. } = self;
        let isa = policy.isa;
        pool.install(|| {
            start.run(isa, input, *grid, &mut workspace.x)?;
            // From here on nothing fails, so every row that is placed is made.
            let cached = workspace.parts.tables.place(&input.plan.levels);
            watch(Part::Start);
            for (index, block) in blocks.iter().enumerate() {
                block.run(isa, input.noise.get(index).map(Vec::as_slice), workspace, watch);
            }
            let Workspace { x, dx, parts, .. } = workspace;
            let input = Activated(Features::new(x, *width, *picture));
            let products = &mut dx[..cells(*picture) * BLOCK];
            let values = to_image.run(isa, &input, (&mut parts.held, &parts.scratch), products);
            watch(Part::Image);
            Ok((values, cached))
        })
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

    fn check(&self, input: &Input) -> Result<(), EngineError> {
        let refuse = |reason: String| Err(EngineError::Input(reason));
        let planned = input.plan.levels.iter().map(|level| level.grid);
        if !planned.eq(self.resolutions.iter().copied()) {
            return refuse("the mask was planned for another model".to_owned());
        }
        let (given, taken) = (input.noise.len(), self.noise_planes.len());
        if given != taken {
            return refuse(format!("{given} noise planes were given, the model takes {taken}"));
        }
        for (plane, grid) in input.noise.iter().zip(&self.noise_planes) {
            if plane.len() != cells(*grid) {
                let Grid { height, width } = grid;
                return refuse(format!("a noise plane has {} numbers, not {height}×{width}", plane.len()));
            }
        }
        Ok(())
    }
}

/// Numbers in `channels` channels of `grid`.
fn padded(channels: usize, grid: Grid) -> usize {
    blocks(channels) * cells(grid) * BLOCK
}

impl Workspace {
    fn new(
        architecture: &Architecture,
        blocks: &[Block],
        to_image: &ToImage,
        tables: Tables,
        threads: usize,
    ) -> Self {
        let stages = architecture.stages();
        let most = |len: &dyn Fn(&spadework_model::Stage) -> usize| stages.iter().map(len).max().unwrap_or(0);
        let x = most(&|stage| padded(stage.output, stage.grid))
            .max(padded(architecture.start_width(), architecture.grid));
        let picture = architecture.picture();
        let held = |block: &Block| block.convs().map(|conv| conv.held_len(block.stage.grid, threads)).max();
        let last = to_image.taps.held_len(picture, threads);
        Self {
            x: Buffer::zeroed(x),
            out: Buffer::zeroed(x),
            dx: Buffer::zeroed(most(&|stage| padded(stage.middle(), stage.grid)).max(cells(picture) * BLOCK)),
            parts: Parts {
                tables,
                held: Buffer::zeroed(blocks.iter().filter_map(held).fold(last, usize::max)),
                scratch: Scratch::new(threads),
            },
        }
    }
}

impl TableMemory {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            hidden: Buffer::default(),
            hidden_bf16: Buffer::default(),
            transformed: Buffer::default(),
            scratch: Scratch::new(threads),
        }
    }
}

impl Scratch {
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Lends `len` elements of the calling thread's memory.
    pub(super) fn with<R>(&self, len: usize, use_it: impl FnOnce(&mut [f32]) -> R) -> R {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // A panic while it was held left nothing but numbers that are about to be overwritten.
        let mut memory = self.0[own].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        use_it(memory.at_least(len))
    }
}
