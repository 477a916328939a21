//! What a training step is made of on a CUDA device: kernels of our own, cuBLAS and cuDNN.

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};

use super::{
    cublas::Gemm,
    cudnn_backward::{TrainingConvs, training_convs},
    device::{has_bf16, open},
    launch::CompiledKernels,
    memory::blank,
};
use crate::device::{
    DeviceError,
    call::{Call, Launch as _},
    training::{Backend, ConvDirection, Convolution, TrainingOperators},
};

impl TrainingOperators {
    /// Opens CUDA device `ordinal` with a stream of its own. Convs and table products multiply f32, or bf16 with sums in f32,
    /// as `multiplied` says; none is bf16 where the device has it.
    ///
    /// # Errors
    /// When the device is not there, cannot run this build, or has no bf16; the reason says what would help.
    pub fn open(ordinal: usize, multiplied: Option<DType>) -> std::result::Result<Self, DeviceError> {
        let device = open(ordinal)?;
        let refuse = |reason: String| DeviceError::new(format!("cuda:{ordinal}"), reason);
        let failed = |error: candle_core::Error| refuse(error.to_string());
        let dtype = match (multiplied, has_bf16(&device).map_err(failed)?) {
            (Some(DType::BF16), false) => {
                return Err(refuse("this device has no bf16 products; use `--precision f32`".to_owned()));
            }
            (Some(DType::BF16) | None, true) => DType::BF16,
            (Some(DType::F32), _) | (None, false) => DType::F32,
            (Some(other), _) => return Err(refuse(format!("training is in f32 or bf16, not in {other:?}"))),
        };
        Ok(Self::new(CudaTraining::new(&device, dtype).map_err(failed)?))
    }
}

struct CudaTraining {
    device: Device,
    cuda: CudaDevice,
    dtype: DType, // of what is multiplied
    kernels: CompiledKernels,
    gemm: Gemm,
    convs: Box<dyn TrainingConvs>,
    convs_in_f32: Option<Box<dyn TrainingConvs>>, // where the others are in bf16
}

impl CudaTraining {
    fn new(device: &CudaDevice, dtype: DType) -> Result<Self> {
        Ok(Self {
            device: Device::Cuda(device.clone()),
            dtype,
            kernels: CompiledKernels::of_training(device)?,
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
        blank(shape, dtype, &self.cuda)
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        self.kernels.launch(call)
    }

    fn product(&self, a: &Tensor, b: &Tensor, transposed: [bool; 2]) -> Result<Tensor> {
        self.gemm.product(&self.rounded(a)?, &self.rounded(b)?, transposed, DType::F32)
    }

    fn convolve(
        &self,
        conv: &Convolution,
        direction: ConvDirection,
        [one, other]: [&Tensor; 2],
    ) -> Result<Tensor> {
        let operands = [self.rounded(one)?, self.rounded(other)?];
        if let Some(out) = self.convs.run(conv, direction, &operands)? {
            return out.to_dtype(DType::F32);
        }
        // What cuDNN does not have in bf16 it may have in f32, of the same numbers.
        if let Some(convs) = &self.convs_in_f32 {
            let [one, other] = operands;
            let operands = [one.to_dtype(DType::F32)?, other.to_dtype(DType::F32)?];
            if let Some(out) = convs.run(conv, direction, &operands)? {
                return Ok(out);
            }
        }
        bail!("cuDNN has no algorithm that gives the same bits every time for the {direction:?} of {conv:?}")
    }
}
