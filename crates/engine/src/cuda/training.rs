//! What a training step is made of on a CUDA device: kernels of our own, cuBLAS and cuDNN.

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};

use super::{
    device::{has_bf16, open},
    gemm::Gemm,
    gradients::{TrainingConvs, training_convs},
    launch::Kernels,
    memory::empty,
};
use crate::{
    EngineError, Precision,
    call::Call,
    training::{Backend, Convolution, Direction, Operators},
};

impl Operators {
    /// Opens CUDA device `ordinal` with a stream of its own. Convs and table products are of f32, or of numbers rounded to
    /// bf16 with sums in f32, as `precision` says: highest or medium; none is bf16 where the device has it.
    ///
    /// # Errors
    /// When the device is not there, cannot run this build, or has no bf16; the reason says what would help.
    pub fn open(ordinal: usize, precision: Option<Precision>) -> std::result::Result<Self, EngineError> {
        let device = open(ordinal)?;
        let refuse =
            |reason: &str| EngineError::Device { name: format!("cuda:{ordinal}"), reason: reason.to_owned() };
        let dtype = match (precision, has_bf16(&device)?) {
            (Some(Precision::High), _) => return Err(refuse("training is in f32 or bf16")),
            (Some(Precision::Medium), false) => {
                return Err(refuse("this device has no bf16 products; use `--precision f32`"));
            }
            (Some(Precision::Medium) | None, true) => DType::BF16,
            (Some(Precision::Highest), _) | (None, false) => DType::F32,
        };
        Ok(Self::new(CudaTraining::new(&device, dtype)?))
    }
}

struct CudaTraining {
    device: Device,
    cuda: CudaDevice,
    dtype: DType, // of what is multiplied
    kernels: Kernels,
    gemm: Gemm,
    convs: Box<dyn TrainingConvs>,
    convs_in_f32: Option<Box<dyn TrainingConvs>>, // where the others are in bf16
}

impl CudaTraining {
    fn new(device: &CudaDevice, dtype: DType) -> Result<Self> {
        Ok(Self {
            device: Device::Cuda(device.clone()),
            dtype,
            kernels: Kernels::of_training(device)?,
            gemm: Gemm::new(device, dtype, false)?,
            convs: training_convs(device, dtype)?,
            convs_in_f32: match dtype {
                DType::BF16 => Some(training_convs(device, DType::F32)?),
                _ => None,
            },
            cuda: device.clone(),
        })
    }

    fn rounded(&self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(self.dtype).map(|x| x.detach())
    }
}

impl Backend for CudaTraining {
    fn device(&self) -> &Device {
        &self.device
    }

    fn multiplied(&self) -> DType {
        self.dtype
    }

    fn empty(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        empty(shape, dtype, &self.cuda)
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        self.kernels.launch(call)
    }

    fn product(&self, a: &Tensor, b: &Tensor, transposed: [bool; 2]) -> Result<Tensor> {
        self.gemm.product(&self.rounded(a)?, &self.rounded(b)?, transposed, DType::F32)
    }

    fn convolve(&self, conv: &Convolution, direction: Direction<'_>) -> Result<Tensor> {
        let (one, other) = match direction {
            Direction::Forward { x, weight } => (x, weight),
            Direction::Input { dy, weight } => (dy, weight),
            Direction::Weight { x, dy } => (x, dy),
        };
        let operands = [self.rounded(one)?, self.rounded(other)?];
        let wanted = direction.into();
        if let Some(out) = self.convs.run(conv, wanted, &operands)? {
            return out.to_dtype(DType::F32);
        }
        // What cuDNN does not have in bf16 it may have in f32, of the same numbers.
        if let Some(convs) = &self.convs_in_f32 {
            let [one, other] = operands;
            let operands = [one.to_dtype(DType::F32)?, other.to_dtype(DType::F32)?];
            if let Some(out) = convs.run(conv, wanted, &operands)? {
                return Ok(out);
            }
        }
        bail!("cuDNN has no algorithm that gives the same bits every time for the {wanted:?} of {conv:?}")
    }
}
