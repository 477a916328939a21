//! The whole generator, its working memory and its threads.

use std::sync::Mutex;

use rayon::{ThreadPool, ThreadPoolBuilder};
use spadework_model::{Architecture, Grid, Prefixed, Tensors};

use super::{
    block::Block,
    features::{Features, blocks, bordered, cells},
    image::ToImage,
    modulate::activate,
    spade::{SharedPredictor, Spade},
    start::Start,
};
use crate::{
    EngineError, Input,
    buffer::Buffer,
    isa::{BLOCK, Isa},
    plan::{level::Level, resolutions},
};

/// A generator packed for this processor.
pub(crate) struct Network {
    isa: Isa,
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
    /// A conv's input, inside a border of zeros.
    pub(super) modulated: Buffer<f32>,
    pub(super) tables: Tables,
}

/// The table in use, and the memory it is made in.
pub(super) struct Tables {
    hidden: Buffer<f32>,
    table: Buffer<f32>,
    scratch: Scratch,
}

/// Working memory of each thread.
pub(super) struct Scratch(Vec<Mutex<Buffer<f32>>>);

impl Network {
    /// Reads and packs the generator.
    ///
    /// # Errors
    /// When a tensor is missing or misshapen, or threads cannot be had.
    pub(crate) fn load(
        architecture: &Architecture,
        generator: &Tensors,
        isa: Isa,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("engine-{index}"))
            .build()
            .map_err(|error| EngineError::Device { name: "cpu".to_owned(), reason: error.to_string() })?;
        architecture.check().map_err(|error| EngineError::Network(candle_core::Error::wrap(error)))?;
        let (start, blocks, to_image) = pool.install(|| {
            let root = Prefixed::root(generator);
            let mut shared = SharedPredictor::read(&root, architecture)?;
            let stages = architecture.stages().into_iter();
            let blocks = stages
                .map(|stage| Block::read(&root, architecture, stage, shared.as_mut()))
                .collect::<Result<Vec<_>, _>>()?;
            let to_image = ToImage::read(&root, architecture.final_width())?;
            Ok::<_, EngineError>((Start::read(&root, architecture)?, blocks, to_image))
        })?;
        Ok(Self {
            isa,
            grid: architecture.grid,
            picture: architecture.picture(),
            resolutions: resolutions(architecture),
            noise_planes: architecture.noise_planes(),
            width: architecture.final_width(),
            start,
            blocks,
            to_image,
            workspace: Workspace::new(architecture, pool.current_num_threads()),
            pool,
        })
    }

    /// The instruction set in use.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// Pictures C H W in [-1, 1], one after the other: no picture can depend on its batch.
    pub(crate) fn generate(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        inputs.iter().map(|input| self.one(input)).collect()
    }

    fn one(&mut self, input: &Input) -> Result<Vec<f32>, EngineError> {
        self.check(input)?;
        let Self { isa, pool, grid, picture, resolutions, width, start, blocks, to_image, workspace, .. } =
            self;
        pool.install(|| {
            start.run(input, *grid, &mut workspace.x)?;
            for (index, block) in blocks.iter().enumerate() {
                let level = level_of(resolutions, &input.plan.levels, block.stage.grid);
                block.run(*isa, level, input.noise.get(index).map(Vec::as_slice), workspace);
            }
            let activated = &mut workspace.modulated[..padded(*width, bordered(*picture))];
            activate(*isa, Features::new(&workspace.x, *width, *picture), activated);
            let products = &mut workspace.dx[..cells(*picture) * BLOCK];
            Ok(to_image.run(*isa, activated, *picture, products))
        })
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

fn level_of<'a>(resolutions: &[Grid], levels: &'a [Level], grid: Grid) -> &'a Level {
    let index = resolutions.iter().position(|resolution| *resolution == grid);
    &levels[index.expect("every block's resolution is in the list made from the blocks")]
}

/// Elements of `channels` channels of `grid`.
fn padded(channels: usize, grid: Grid) -> usize {
    blocks(channels) * cells(grid) * BLOCK
}

impl Workspace {
    fn new(architecture: &Architecture, threads: usize) -> Self {
        let stages = architecture.stages();
        let most = |len: &dyn Fn(&spadework_model::Stage) -> usize| stages.iter().map(len).max().unwrap_or(0);
        let x = most(&|stage| padded(stage.output, stage.grid))
            .max(padded(architecture.start_width(), architecture.grid));
        let picture = architecture.picture();
        Self {
            x: Buffer::zeroed(x),
            out: Buffer::zeroed(x),
            dx: Buffer::zeroed(most(&|stage| padded(stage.middle(), stage.grid)).max(cells(picture) * BLOCK)),
            modulated: Buffer::zeroed(
                most(&|stage| padded(stage.input, bordered(stage.grid)))
                    .max(padded(architecture.final_width(), bordered(picture))),
            ),
            tables: Tables {
                hidden: Buffer::default(),
                table: Buffer::default(),
                scratch: Scratch((0..threads).map(|_| Mutex::default()).collect()),
            },
        }
    }
}

impl Tables {
    /// The layer's table for a level.
    pub(super) fn of(&mut self, isa: Isa, spade: &Spade, level: &Level) -> &[f32] {
        let hidden = self.hidden.at_least(spade.hidden_len(level));
        let table = self.table.at_least(spade.table_len(level.len()));
        spade.tabulate(isa, level, hidden, &self.scratch, table);
        table
    }
}

impl Scratch {
    /// Lends `len` elements of the calling thread's memory.
    pub(super) fn with<R>(&self, len: usize, use_it: impl FnOnce(&mut [f32]) -> R) -> R {
        let own = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        // A panic while it was held left nothing but numbers that are about to be overwritten.
        let mut memory = self.0[own].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        use_it(memory.at_least(len))
    }
}
