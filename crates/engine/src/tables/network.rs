//! The whole generator.

use candle_core::{DType, Tensor};
use spadework_model::{Architecture, Grid, Prefixed, Stage, Tensors};

use super::{
    block::Block, convs::ToImage, level::BatchLevel, lookup::codes, operators::Operators,
    spade::SharedPredictor, start::Start, tensors::Target,
};
use crate::{
    End, EngineError, Input,
    pending::Download,
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
    noise_planes: Vec<Grid>,
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
        let mut shared = SharedPredictor::read(&root, architecture, &target)?;
        let read = |stage: Stage| {
            Ok::<_, EngineError>((stage, Block::read(&root, architecture, &stage, shared.as_mut(), &target)?))
        };
        let blocks = architecture.stages().into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self {
            grid: architecture.grid,
            kernel: architecture.kernel,
            codes: codes(architecture),
            resolutions: resolutions(architecture),
            noise_planes: architecture.noise_planes(),
            start: Start::read(&root, architecture, &target)?,
            blocks,
            to_image: ToImage::read(&root, architecture.final_width(), &target)?,
            operators,
            target,
        })
    }

    /// Begins pictures H W C as bytes, once the device has come to `after`; none of no inputs.
    pub(crate) fn begin(
        &self,
        inputs: &[Input],
        after: &End,
    ) -> Result<Option<Box<dyn Download>>, EngineError> {
        inputs.iter().try_for_each(|input| self.check(input))?;
        if inputs.is_empty() {
            return Ok(None);
        }
        self.operators.begin(after)?;
        let pictures = self.run(inputs, DType::U8)?;
        Ok(Some(self.operators.download(&pictures)?))
    }

    /// Pictures H W C as bytes.
    #[cfg(test)]
    pub(crate) fn generate(&self, inputs: &[Input]) -> Result<Vec<Vec<u8>>, EngineError> {
        match self.begin(inputs, &End::default())? {
            Some(download) => Ok(download.finish()?.0),
            None => Ok(Vec::new()),
        }
    }

    /// Pictures C H W in [-1, 1].
    pub(crate) fn generate_tensor(&self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, EngineError> {
        inputs.iter().try_for_each(|input| self.check(input))?;
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let pictures = self.run(inputs, DType::F32)?;
        let planes = pictures.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?;
        Ok(planes.to_vec2()?)
    }

    /// (N, H, W, 3) as one batch on the device, of inputs that have been checked.
    fn run(&self, inputs: &[Input], dtype: DType) -> Result<Tensor, EngineError> {
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
                x = block.run(operators, level, &x, noise.as_ref())?;
            }
        }
        Ok(operators.picture(&x, &self.to_image, dtype)?)
    }

    /// Every input's level of `grid`.
    fn levels<'a>(&self, inputs: &'a [Input], grid: Grid) -> Vec<&'a Level> {
        let index = self.resolutions.iter().position(|resolution| *resolution == grid);
        let index = index.expect("every block's resolution is in the list made from the blocks");
        inputs.iter().map(|input| &input.plan.levels[index]).collect()
    }

    /// The noise planes of block `index`, (N, H, W).
    fn noise(&self, inputs: &[Input], index: usize) -> candle_core::Result<Option<Tensor>> {
        let Some(grid) = self.noise_planes.get(index) else { return Ok(None) };
        let planes: Vec<f32> = inputs.iter().flat_map(|input| &input.noise[index]).copied().collect();
        self.operators.upload_real(&planes)?.reshape((inputs.len(), grid.height, grid.width)).map(Some)
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
        for (plane, Grid { height, width }) in input.noise.iter().zip(&self.noise_planes) {
            if plane.len() != height * width {
                return refuse(format!("a noise plane has {} numbers, not {height}×{width}", plane.len()));
            }
        }
        self.start.check(input)
    }
}
