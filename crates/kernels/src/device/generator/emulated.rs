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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::device::generator::{ModulateArgs, gather, lookup, modulate};

    fn ones(shape: &[usize]) -> Tensor {
        Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
    }

    fn far(shape: &[usize]) -> Tensor {
        Tensor::full(u32::MAX - 1, shape, &Device::Cpu).unwrap()
    }

    /// The address sanitizer ends the program that reads beside its memory.
    #[test]
    fn no_kernel_reads_beside_its_memory_whatever_the_indices_are() {
        let kernels = EmulatedGenerator::compile(DType::F32);
        let sum = |tensor: &Tensor| tensor.sum_all().unwrap().to_scalar::<f32>().unwrap();
        let (rows, out) = (far(&[2, 9]), ones(&[2, 8]));
        kernels.launch(&lookup(&rows, &ones(&[5, 8]), &ones(&[8]), true, &out).unwrap()).unwrap();
        assert_eq!(sum(&out), 16.0, "the bias alone");
        let out = ones(&[2, 72]);
        kernels.launch(&gather(&ones(&[3, 8]), &rows, &out).unwrap()).unwrap();
        assert_eq!(sum(&out), 0.0);
        let (ids, out) = (far(&[1, 2, 2]), ones(&[1, 2, 2, 8]));
        let (table, bias, normalise) = (ones(&[3, 16]), ones(&[2, 8]), ones(&[1, 2, 8]));
        let args =
            ModulateArgs { ids: &ids, table: &table, bias: &bias, normalise: &normalise, activate: false };
        kernels.launch(&modulate(&ones(&[1, 2, 2, 8]), &args, &out).unwrap()).unwrap();
        assert_eq!(sum(&out), 6.0 * 32.0, "the table's last row: (1 + 1) · (1 + 1) + (1 + 1)");
    }
}
