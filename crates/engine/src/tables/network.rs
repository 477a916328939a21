//! The whole generator.

mod staged;

use std::cell::RefCell;

use candle_core::{DType, Tensor};
use spadework_model::{Architecture, Grid, Norm, Prefixed, Stage, Tensors};

use super::{
    block::Block,
    convs::ToImage,
    graphs::Graphs,
    level::BatchLevel,
    lookup::codes,
    operators::Operators,
    spade::{SharedPredictor, Spade},
    start::Start,
    tensors::Target,
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
    graphs: Option<RefCell<Graphs>>,
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(graphs) = self.graphs.take() {
            drop(graphs);
            self.operators.trim(); // what they had would stay with the device's graphs, of which there may be no others
        }
    }
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
            graphs: None,
        })
    }

    /// Runs batches as graphs from now on, where that can be.
    ///
    /// # Errors
    /// When no batch of this model can; the network goes on without graphs.
    pub(crate) fn use_graphs(&mut self, architecture: &Architecture) -> Result<(), &'static str> {
        if architecture.norm == Norm::Instance {
            return Err(
                "a model with instance norm has statistics to compute, which candle does in a way that is not captured here",
            );
        }
        let columns = self.blocks.iter().map(|(_, block)| block.layers().map(Spade::columns).collect());
        let columns = columns.collect();
        self.graphs = Some(RefCell::new(Graphs::new(architecture, self.target.dtype, columns)));
        Ok(())
    }

    /// Graphs that are kept.
    #[cfg(all(test, feature = "cuda"))]
    pub(crate) fn graphs(&self) -> usize {
        self.graphs.as_ref().map_or(0, |graphs| graphs.borrow().kept())
    }

    /// What a log should be told of the batches since the last time.
    pub(crate) fn take_remarks(&self) -> Vec<String> {
        self.graphs.as_ref().map_or_else(Vec::new, |graphs| graphs.borrow_mut().take_remarks())
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
        let pictures = match &self.graphs {
            Some(graphs) => graphs.borrow_mut().run(self, inputs)?,
            None => self.run(inputs, DType::U8)?,
        };
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
        let (pictures, height, width, _) = x.dims4()?;
        let picture = operators.blank(&[pictures, height, width, 3], dtype)?;
        operators.picture(&x, &self.to_image, &picture)?;
        Ok(picture)
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
