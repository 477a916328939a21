//! What tests of operations share, here and in other crates: finite differences, a small architecture, an emulated device.

#[expect(clippy::unwrap_used, reason = "what fails in a test ends it")]
mod finite_differences;

use std::sync::{Arc, LazyLock};

use candle_core::{Device, Result, Tensor};
use spadework_kernels::device::training::TrainingOperators;
use spadework_model::{Architecture, Grid, Modulation, Norm, Upsampling};

use crate::{Backend, Collective};
pub use finite_differences::{check, numbers, weighted};

/// The device kernels, run on the processor.
pub fn emulated() -> Backend {
    static EMULATED: LazyLock<Arc<TrainingOperators>> =
        LazyLock::new(|| Arc::new(TrainingOperators::emulated(false)));
    Backend::Device(Arc::clone(&EMULATED))
}

/// The first CUDA device, in f32.
///
/// # Panics
/// When there is none.
#[cfg(feature = "cuda")]
pub fn cuda() -> Backend {
    let operators = TrainingOperators::open(0, Some(candle_core::DType::F32)).expect("a CUDA device");
    Backend::Device(Arc::new(operators))
}

/// A group of one process.
#[derive(Debug)]
pub struct Alone;

impl Collective for Alone {
    fn processes(&self) -> usize {
        1
    }

    fn sum_tensor(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.clone())
    }

    fn sum(&self, _: &mut [f64]) -> Result<()> {
        Ok(())
    }
}

/// A small generator's.
pub fn architecture(kernel: usize, modulation: Modulation) -> Architecture {
    Architecture {
        label_nc: 3,
        unknown_label: true,
        instance_edges: true,
        mask: Grid { height: 64, width: 32 },
        grid: Grid { height: 2, width: 1 },
        upsampling: Upsampling::Normal,
        ngf: 1,
        hidden: 5,
        kernel,
        norm: Norm::Batch,
        modulation,
        z_dim: Some(2),
        noise: false,
        encoder: None,
    }
}

/// Labels (2, H, W) u8 in rectangles, and edges here and there.
///
/// # Panics
/// Never: the sizes are the architecture's.
pub fn masks(architecture: &Architecture) -> (Tensor, Tensor) {
    let (h, w) = (architecture.mask.height, architecture.mask.width);
    let cell = |i: usize| (i / (h * w), i / w % h, i % w);
    let labels =
        (0..2 * h * w).map(cell).map(|(n, y, x)| ((y / 9 + n) % 3 + usize::from(x > 11 + y / 5)) as u8);
    let edges = (0..2 * h * w).map(cell).map(|(n, y, x)| u8::from(y % 9 == n || x == 11 + y / 5));
    let tensor = |values: Vec<u8>| {
        Tensor::from_vec(values, (2, h, w), &Device::Cpu).expect("as many as the shape has")
    };
    (tensor(labels.collect()), tensor(edges.collect()))
}
