//! The generator's kernels on the processor.

use std::collections::HashMap;

use candle_core::{DType, Result, bail};

use super::{Call, Launch, source, widths};
use crate::device::emulated::Program;

/// The kernels for one type, as programs: one for each number of channels at once.
pub struct EmulatedGenerator {
    programs: HashMap<usize, Program>,
}

impl EmulatedGenerator {
    /// Compiles the kernels for networks that compute in `dtype`, f32 or bf16.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn compile(dtype: DType) -> Self {
        let programs = widths(dtype).map(|at_once| (at_once, Program::compile(&source(dtype, at_once))));
        Self { programs: HashMap::from(programs) }
    }
}

impl Launch for EmulatedGenerator {
    fn launch(&self, call: &Call<'_>) -> Result<()> {
        match self.programs.get(&call.at_once) {
            Some(program) => program.launch(call),
            None => bail!("there is no kernel `{}` for {} channels at once", call.name, call.at_once),
        }
    }
}
