//! The whole generator.

mod staged;

use candle_core::{DType, Tensor};
use spadework_model::{Architecture, Grid, Prefixed, Stage, Tensors};

use super::{
    batch_level::BatchLevel,
    block::Block,
    conv_weights::ToImage,
    lookup::codes,
    operators::Operators,
    spade::{SharedPredictor, Spade, first_conv},
    start::Start,
    weights::Target,
};
use crate::{
    EngineError, Input,
    expected_input::ExpectedInput,
    plan::{level::Level, resolutions},
};

/// A generator on a device.
pub(crate) struct Network {
    operators: Box<dyn Operators>,
    target: Target,
    grid: Grid,
    kernel: usize,
    codes: usize,
    resolutions: Vec<Grid>,
    expected: ExpectedInput,
    start: Start,
    blocks: Vec<(Stage, Block)>,
    to_image: ToImage,
}

impl Network {
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
        architecture.check().map_err(candle_core::Error::wrap)?;
        let root = Prefixed::root(generator);
        let mut shared = SharedPredictor::read(&root, architecture, first_conv(architecture, &target))?;
        let read = |stage: Stage| {
            Ok::<_, EngineError>((stage, Block::read(&root, architecture, &stage, shared.as_mut(), &target)?))
        };
        let blocks = architecture.stages().into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self {
            grid: architecture.grid,
            kernel: architecture.kernel,
            codes: codes(architecture),
            resolutions: resolutions(architecture),
            expected: ExpectedInput::of(architecture),
            start: Start::read(&root, architecture, &target)?,
            blocks,
            to_image: ToImage::read(&root, architecture.final_width(), &target)?,
            operators,
            target,
        })
    }

    /// The type that it computes in.
    pub(super) fn dtype(&self) -> DType {
        self.target.dtype
    }

    /// What its operations run on.
    pub(super) fn operators(&self) -> &dyn Operators {
        &*self.operators
    }

    /// The columns of every layer's table, block by block.
    pub(super) fn table_columns(&self) -> Vec<Vec<usize>> {
        self.blocks.iter().map(|(_, block)| block.layers().map(Spade::columns).collect()).collect()
    }

    /// Says what inputs lack or have too much.
    pub(super) fn check(&self, inputs: &[Input]) -> Result<(), EngineError> {
        inputs.iter().try_for_each(|input| self.expected.check(input))
    }

    /// (N, H, W, 3) as one batch on the device, of inputs that have been checked.
    pub(super) fn run(&self, inputs: &[Input], dtype: DType) -> Result<Tensor, EngineError> {
        let operators = &*self.operators;
        let mut x = self.start.run(operators, inputs, self.grid, &self.target)?;
        let mut level = None;
        for (index, (stage, block)) in self.blocks.iter().enumerate() {
            // Each level is merged when its turn comes: a GPU computes the ones before it meanwhile.
            if level.as_ref().is_none_or(|(grid, _)| *grid != stage.grid) {
                let batch = BatchLevel::new(&self.levels(inputs, stage.grid), self.kernel);
                level = Some((stage.grid, batch.upload(operators, self.codes)?));
            }
            let noise = self.noise(inputs, index)?;
            if let Some((_, level)) = &level {
                let mut table = |layer: &Spade| layer.table_of_its_own(operators, level);
                x = block.run(operators, &level.ids, &mut table, &x, noise.as_ref())?;
            }
        }
        let (images, height, width, _) = x.dims4()?;
        let image = operators.blank(&[images, height, width, 3], dtype)?;
        operators.image(&x, &self.to_image, &image)?;
        Ok(image)
    }

    /// Every input's level of `grid`.
    fn levels<'a>(&self, inputs: &'a [Input], grid: Grid) -> Vec<&'a Level> {
        let place = self.place(grid);
        inputs.iter().map(|input| &input.plan.levels[place]).collect()
    }

    fn place(&self, grid: Grid) -> usize {
        let place = self.resolutions.iter().position(|resolution| *resolution == grid);
        place.expect("every block's resolution is in the list made from the blocks")
    }

    /// The noise planes of block `index`, (N, H, W).
    fn noise(&self, inputs: &[Input], index: usize) -> candle_core::Result<Option<Tensor>> {
        let Some(grid) = self.expected.noise_planes().get(index) else { return Ok(None) };
        let planes: Vec<f32> = inputs.iter().flat_map(|input| &input.noise[index]).copied().collect();
        self.operators.upload_real(&planes)?.reshape((inputs.len(), grid.height, grid.width)).map(Some)
    }
}
