//! The network's operators on a CUDA device: our kernels, cuBLAS and cuDNN.

use std::cell::RefCell;

use candle_core::{CudaDevice, DType, Device, Result, Tensor, bail};
use spadework_kernels::{
    cuda::{
        Added, CapturedGraph, CompiledKernels, Convolve, Gemm, Staging, StreamStart, blank, capture, convs,
        forbid_in_capture, trim,
    },
    device::{
        Download, Event,
        generator::{self, Launch as _, ModulateArgs, add},
    },
};

use crate::gpu::{CandleOperators, ConvWeights, Graph, Lookup, Operators, ToImage};

/// What a network on a CUDA device is made of.
pub(crate) struct CudaOperators {
    device: CudaDevice,
    dtype: DType,
    kernels: CompiledKernels,
    gemm: Gemm,
    convs: Box<dyn Convolve>,
    candle: CandleOperators,
    staging: RefCell<Staging>,
    /// Where the batch begins that is being given to the device.
    started: RefCell<Option<StreamStart>>,
}

impl Graph for CapturedGraph {
    fn launch(&self) -> Result<()> {
        self.launch()
    }
}

impl CudaOperators {
    /// For a network that computes in `dtype`. In f32, products are rounded to TF32 only where `tf32` says so.
    pub(crate) fn new(device: &CudaDevice, dtype: DType, tf32: bool) -> Result<Self> {
        Ok(Self {
            dtype,
            kernels: CompiledKernels::of_generator(device, dtype)?,
            gemm: Gemm::new(device, dtype, tf32)?,
            convs: convs(device, dtype, tf32)?,
            candle: CandleOperators { device: Device::Cuda(device.clone()) },
            device: device.clone(),
            staging: RefCell::default(),
            started: RefCell::default(),
        })
    }

    fn empty(&self, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
        blank(shape, self.dtype, &self.device)
    }
}

impl Operators for CudaOperators {
    fn begin(&self, after: &Event) -> Result<()> {
        *self.started.borrow_mut() = Some(StreamStart::record(&self.device, after)?);
        Ok(())
    }

    fn blank(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        blank(shape, dtype, &self.device)
    }

    fn upload(&self, len: usize, write: &mut dyn FnMut(&mut [u32])) -> Result<Tensor> {
        self.staging.borrow_mut().upload(&self.device, DType::U32, len, write)
    }

    fn upload_real(&self, numbers: &[f32]) -> Result<Tensor> {
        let bits: &[u32] = bytemuck::cast_slice(numbers);
        let mut write = |memory: &mut [u32]| memory.copy_from_slice(bits);
        self.staging.borrow_mut().upload(&self.device, DType::F32, bits.len(), &mut write)
    }

    fn lookup(&self, rows: &Tensor, conv: &Lookup, rectify: bool) -> Result<Tensor> {
        let out = self.empty((rows.dim(0)?, conv.bias.dim(0)?))?;
        self.kernels.launch(&generator::lookup(rows, &conv.weights, &conv.bias, rectify, &out)?)?;
        Ok(out)
    }

    fn gather(&self, hidden: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let ((rows, area), width) = (taps.dims2()?, hidden.dim(1)?);
        let out = self.empty((rows, area * width))?;
        self.kernels.launch(&generator::gather(hidden, taps, &out)?)?;
        Ok(out)
    }

    fn product(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        self.gemm.product_into(a, b, [false, false], out)
    }

    fn modulate(&self, x: &Tensor, modulation: &ModulateArgs<'_>) -> Result<Tensor> {
        let (images, height, width) = modulation.ids.dims3()?;
        let out = self.empty((images, height, width, x.dim(3)?))?;
        self.kernels.launch(&generator::modulate(x, modulation, &out)?)?;
        Ok(out)
    }

    fn conv(&self, x: &Tensor, conv: &ConvWeights, onto: Option<&Tensor>) -> Result<Tensor> {
        let (images, height, width, input) = x.dims4()?;
        let (output, kernel, ..) = conv.weight.dims4()?;
        // cuDNN adds a map of the output's size only.
        let fits = onto.filter(|onto| onto.dims()[1] == height);
        let (y, added) = if kernel == 1 {
            let cells = x.reshape((images * height * width, input))?;
            let y = self.gemm.run(&cells, &conv.weight.reshape((output, input))?, true)?;
            (y.reshape((images, height, width, output))?, Added::Nothing)
        } else {
            match self.convs.run(x, &conv.weight, conv.rounded_bias.as_ref(), fits)? {
                Some(done) => done,
                None => {
                    forbid_in_capture(&self.device, "a conv that cuDNN does not have")?;
                    return self.candle.conv(x, conv, onto);
                }
            }
        };
        let (bias, onto) = match added {
            Added::BiasAndResidual => (None, onto.filter(|_| fits.is_none())),
            Added::Nothing => (conv.bias.as_ref(), onto),
        };
        if bias.is_some() || onto.is_some() {
            self.kernels.launch(&add(&y, bias, onto, None)?)?;
        }
        Ok(y)
    }

    fn add_noise(&self, x: Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.kernels.launch(&add(&x, None, None, Some([plane, weight]))?)?;
        Ok(x)
    }

    fn image(&self, x: &Tensor, conv: &ToImage, out: &Tensor) -> Result<()> {
        self.kernels.launch(&generator::to_image(x, &conv.weight, &conv.bias, out)?)
    }

    fn download(&self, images: &Tensor) -> Result<Box<dyn Download>> {
        let Some(started) = self.started.borrow_mut().take() else { bail!("a download ends a batch") };
        self.staging.borrow_mut().download(&self.device, images, started)
    }

    fn capture(&self, tensors: Vec<Tensor>, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        Ok(Box::new(capture(&self.device, tensors, work)?))
    }

    fn moves(&self) -> usize {
        self.convs.moves()
    }

    fn trim(&self) {
        trim(&self.device);
    }
}
