//! This crate's own kernels on a device: compiled for it when it is opened, and given to its stream.

use candle_core::{CudaDevice, DType, Error, Result};
use cudarc::{
    driver::{CudaFunction, LaunchConfig, PushKernelArg},
    nvrtc::{CompileOptions, compile_ptx_with_opts},
};

use super::{error::cuda_error, memory::address};
use crate::device::{
    call::{Argument, Call, Launch},
    generator::{NAMES, source, widths},
    training,
};

/// Threads of a block.
const BLOCK: u32 = 256;

/// The architectures that NVRTC is asked for, by the least compute capability that has them.
const ARCHITECTURES: [((i32, i32), &str); 7] = [
    ((12, 0), "compute_120"),
    ((10, 0), "compute_100"),
    ((9, 0), "compute_90"),
    ((8, 9), "compute_89"),
    ((8, 6), "compute_86"),
    ((8, 0), "compute_80"),
    ((7, 5), "compute_75"),
];

/// Kernels that were compiled for a device.
pub struct CompiledKernels {
    device: CudaDevice,
    functions: Vec<(&'static str, usize, CudaFunction)>,
}

impl CompiledKernels {
    /// Compiles the generator's for one type, f32 or bf16.
    ///
    /// # Errors
    /// When NVRTC or the driver refuses.
    pub fn of_generator(device: &CudaDevice, dtype: DType) -> Result<Self> {
        let mut kernels = Self { device: device.clone(), functions: Vec::new() };
        for at_once in widths(dtype) {
            let module = format!("spadework_{dtype:?}_{at_once}");
            kernels.load(&module, &source(dtype, at_once), NAMES, at_once)?;
        }
        Ok(kernels)
    }

    /// Compiles those of training steps.
    pub(super) fn of_training(device: &CudaDevice) -> Result<Self> {
        let mut kernels = Self { device: device.clone(), functions: Vec::new() };
        kernels.load("spadework_training", training::SOURCE, training::names(), 1)?;
        Ok(kernels)
    }

    fn load(
        &mut self,
        module: &str,
        source: &str,
        names: impl IntoIterator<Item = &'static str>,
        at_once: usize,
    ) -> Result<()> {
        let capability = self.device.cuda_stream().context().compute_capability().map_err(cuda_error)?;
        let ptx = compile(source, architecture(capability))?;
        for name in names {
            let function = self.device.get_or_load_custom_func(name, module, &ptx)?;
            self.functions.push((name, at_once, function.into_cuda_function()));
        }
        Ok(())
    }
}

impl Launch for CompiledKernels {
    fn launch(&self, call: &Call<'_>) -> Result<()> {
        let wanted = |(name, at_once, _): &&(&str, usize, _)| *name == call.name && *at_once == call.at_once;
        let Some((.., function)) = self.functions.iter().find(wanted) else {
            candle_core::bail!("there is no kernel `{}` for {} at once", call.name, call.at_once)
        };
        let blocks = u32::try_from(call.threads.div_ceil(BLOCK as usize)).map_err(Error::wrap)?;
        if blocks == 0 {
            return Ok(());
        }
        let values = call
            .arguments
            .iter()
            .map(|argument| Value::of(argument, &self.device))
            .collect::<Result<Vec<_>>>()?;
        let stream = self.device.cuda_stream();
        let mut builder = stream.launch_builder(function);
        for value in &values {
            match value {
                Value::Number(number) => builder.arg(number),
                Value::Float(number) => builder.arg(number),
                Value::Size(size) => builder.arg(size),
            };
        }
        let shape = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: only this crate makes calls, with shapes that it has checked and arguments in the kernel's order; tests run
        // every kernel with them under an address sanitizer. All memory is this stream's, and goes in its order.
        unsafe { builder.launch(shape) }.map_err(cuda_error)?;
        Ok(())
    }
}

/// An argument as it is passed.
enum Value {
    Number(u32),
    Float(f32),
    Size(u64),
}

impl Value {
    fn of(argument: &Argument<'_>, device: &CudaDevice) -> Result<Self> {
        Ok(match argument {
            Argument::Number(number) => Self::Number(*number),
            Argument::Float(number) => Self::Float(*number),
            Argument::Size(size) => Self::Size(*size),
            Argument::Memory(tensor) => Self::Size(address(tensor, device)?),
            Argument::Null => Self::Size(0),
        })
    }
}

fn architecture(capability: (i32, i32)) -> &'static str {
    let known = ARCHITECTURES.iter().find(|(least, _)| capability >= *least);
    known.map_or(ARCHITECTURES[ARCHITECTURES.len() - 1].1, |(_, name)| name)
}

fn compile(source: &str, architecture: &'static str) -> Result<String> {
    let options = CompileOptions { arch: Some(architecture), ..CompileOptions::default() };
    Ok(compile_ptx_with_opts(source, options).map_err(cuda_error)?.to_src())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_compiles_for_every_architecture() {
        for (_, architecture) in ARCHITECTURES {
            for dtype in [DType::F32, DType::BF16] {
                for at_once in widths(dtype) {
                    let ptx = compile(&source(dtype, at_once), architecture).unwrap();
                    println!("{architecture} {dtype:?} {at_once} at once: {} bytes of PTX", ptx.len());
                    for name in NAMES {
                        assert!(ptx.contains(&format!(".entry {name}(")), "{name} for {architecture}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_of_training_compiles_for_every_architecture() {
        for (_, architecture) in ARCHITECTURES {
            let ptx = compile(training::SOURCE, architecture).unwrap();
            let missing = training::names().find(|name| !ptx.contains(&format!(".entry {name}(")));
            assert_eq!(missing, None, "for {architecture}");
        }
        assert!(training::names().count() > 20);
    }

    #[test]
    fn a_device_gets_the_newest_architecture_that_it_has() {
        let names = [(7, 0), (8, 0), (8, 7), (9, 0), (12, 1)].map(architecture);
        assert_eq!(names, ["compute_75", "compute_80", "compute_86", "compute_90", "compute_120"]);
    }
}
