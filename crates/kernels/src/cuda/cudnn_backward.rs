//! Convs of a training step by cuDNN, forward and backward, by algorithms that give the same bits every time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Result, Storage, Tensor, WithDType, cuda_backend::CudaDType,
    op::BackpropOp,
};
use cudarc::{
    cudnn::{
        ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, CudnnError,
        FilterDescriptor, TensorDescriptor, sys,
    },
    driver::{CudaSlice, DeviceRepr},
};

use super::{
    cudnn_forward::{is_unsupported, start, view},
    error::cuda_error,
};
use crate::device::training::{ConvDirection, Convolution};

/// Sums of one order; cuDNN's other algorithms add atomically, or are not for all kernels and strides.
const FORWARD: sys::cudnnConvolutionFwdAlgo_t =
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
const INPUT: sys::cudnnConvolutionBwdDataAlgo_t =
    sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
const WEIGHT: sys::cudnnConvolutionBwdFilterAlgo_t =
    sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

/// Channels last, and where cuDNN does not have that, channels first between two turns.
const FORMATS: [sys::cudnnTensorFormat_t; 2] =
    [sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW];

/// Convs in one type.
pub(super) trait TrainingConvs: Send + Sync {
    /// What `direction` computes, from its operands: channels last, all three. They are input and weight, gradient of the
    /// output and weight, or input and gradient of the output. None where cuDNN has no algorithm of one order for it.
    fn run(
        &self,
        conv: &Convolution,
        direction: ConvDirection,
        operands: &[Tensor; 2],
    ) -> Result<Option<Tensor>>;
}

/// cuDNN's convs on a device; in f32 without rounding to TF32.
pub(super) fn training_convs(device: &CudaDevice, dtype: DType) -> Result<Box<dyn TrainingConvs>> {
    match dtype {
        DType::BF16 => {
            let math = sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
            Ok(Box::new(Convs::<half::bf16>::new(device, math)?))
        }
        _ => Ok(Box::new(Convs::<f32>::new(device, sys::cudnnMathType_t::CUDNN_FMA_MATH)?)),
    }
}

struct Convs<T> {
    device: CudaDevice,
    math: sys::cudnnMathType_t,
    used: Mutex<Used<T>>,
}

/// What one caller at a time may use.
struct Used<T> {
    cudnn: Arc<Cudnn>,
    prepared: HashMap<(Convolution, ConvDirection), Prepared<T>>,
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: a cuDNN handle and its descriptors may move between threads as long as two do not use them at once; nothing here
// is shared, and the mutex keeps it so.
unsafe impl<T> Send for Used<T> {}

/// A conv's descriptors in one of the formats.
struct Prepared<T> {
    format: usize,
    conv: ConvDescriptor<f32>,
    x: TensorDescriptor<T>,
    weight: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
    workspace: usize,
}

impl<T> Convs<T>
where
    T: CudnnDataType + WithDType + CudaDType + DeviceRepr,
{
    fn new(device: &CudaDevice, math: sys::cudnnMathType_t) -> Result<Self> {
        let used = Used { cudnn: start(device)?, prepared: HashMap::new(), workspace: None };
        Ok(Self { device: device.clone(), math, used: Mutex::new(used) })
    }

    fn prepare(
        &self,
        cudnn: &Arc<Cudnn>,
        conv: &Convolution,
        direction: ConvDirection,
        format: usize,
    ) -> std::result::Result<Prepared<T>, CudnnError> {
        // cuDNN takes sizes in the order N C H W, whatever lies in memory.
        let channels_first = |[n, h, w, c]: [usize; 4]| [n, c, h, w].map(|size| size as i32);
        let map = |shape| cudnn.create_4d_tensor::<T>(FORMATS[format], channels_first(shape));
        let (pad, stride) = (conv.padding as i32, conv.stride as i32);
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut descriptor = cudnn.create_conv2d::<f32>([pad; 2], [stride; 2], [1, 1], mode)?;
        descriptor.set_math_type(self.math)?;
        let weight = channels_first(conv.weight_shape());
        let mut prepared = Prepared {
            format,
            conv: descriptor,
            x: map(conv.input)?,
            weight: cudnn.create_4d_filter::<T>(FORMATS[format], weight)?,
            y: map(conv.output_shape())?,
            workspace: 0,
        };
        prepared.workspace = match direction {
            ConvDirection::Forward => prepared.forward().get_workspace_size(FORWARD)?,
            ConvDirection::InputGradient => prepared.input().get_workspace_size(INPUT)?,
            ConvDirection::WeightGradient => prepared.weight().get_workspace_size(WEIGHT)?,
        };
        Ok(prepared)
    }

    /// Runs a prepared conv on operands in its format; the outer error is candle's, the inner one cuDNN's.
    fn launch(
        &self,
        prepared: &Prepared<T>,
        workspace: &mut Option<CudaSlice<u8>>,
        direction: ConvDirection,
        [a, b]: &[Tensor; 2],
        numbers: usize,
    ) -> Result<std::result::Result<CudaSlice<T>, CudnnError>> {
        let needed = prepared.workspace;
        if needed > 0 && workspace.as_ref().is_none_or(|memory| memory.len() < needed) {
            *workspace = None; // first, so that both need not fit
            // SAFETY: cuDNN writes its working memory before it reads it.
            *workspace = Some(unsafe { self.device.alloc::<u8>(needed)? });
        }
        // SAFETY: the conv writes all of it, or it is dropped unread.
        let mut out = unsafe { self.device.alloc::<T>(numbers)? };
        let storages = [a.storage_and_layout(), b.storage_and_layout()];
        let (a, b) = (view::<T>(&self.device, &storages[0])?, view::<T>(&self.device, &storages[1])?);
        let (factors, memory) = ((T::from_f64(1.0), T::from_f64(0.0)), workspace.as_mut());
        // SAFETY: the descriptors were made from these tensors' shapes and type.
        let done = unsafe {
            match direction {
                ConvDirection::Forward => {
                    prepared.forward().launch(FORWARD, memory, factors, &a, &b, &mut out)
                }
                ConvDirection::InputGradient => {
                    prepared.input().launch(INPUT, memory, factors, &mut out, &b, &a)
                }
                ConvDirection::WeightGradient => {
                    prepared.weight().launch(WEIGHT, memory, factors, &a, &mut out, &b)
                }
            }
        };
        Ok(done.map(|()| out))
    }
}

impl<T: CudnnDataType> Prepared<T> {
    fn forward(&self) -> ConvForward<'_, T, f32, T> {
        ConvForward { conv: &self.conv, x: &self.x, w: &self.weight, y: &self.y }
    }

    fn input(&self) -> ConvBackwardData<'_, T, f32, T> {
        ConvBackwardData { conv: &self.conv, dx: &self.x, w: &self.weight, dy: &self.y }
    }

    fn weight(&self) -> ConvBackwardFilter<'_, T, f32, T> {
        ConvBackwardFilter { conv: &self.conv, x: &self.x, dw: &self.weight, dy: &self.y }
    }
}

impl<T> TrainingConvs for Convs<T>
where
    T: CudnnDataType + WithDType + CudaDType + DeviceRepr,
{
    fn run(
        &self,
        conv: &Convolution,
        direction: ConvDirection,
        operands: &[Tensor; 2],
    ) -> Result<Option<Tensor>> {
        let used = &mut *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let [n, h, w, c] = match direction {
            ConvDirection::Forward => conv.output_shape(),
            ConvDirection::InputGradient => conv.input,
            ConvDirection::WeightGradient => conv.weight_shape(),
        };
        let key = (*conv, direction);
        let known = used.prepared.get(&key).map_or(0, |prepared| prepared.format);
        for format in known..FORMATS.len() {
            if used.prepared.get(&key).is_none_or(|prepared| prepared.format != format) {
                match self.prepare(&used.cudnn, conv, direction, format) {
                    Ok(prepared) => drop(used.prepared.insert(key, prepared)),
                    Err(error) if is_unsupported(&error) => continue,
                    Err(error) => return Err(cuda_error(error)),
                }
            }
            let first = format > 0;
            let turned = |x: &Tensor| {
                if first { x.permute((0, 3, 1, 2))?.contiguous() } else { Ok(x.clone()) }
            };
            let operands = [turned(&operands[0])?, turned(&operands[1])?];
            let prepared = &used.prepared[&key];
            match self.launch(prepared, &mut used.workspace, direction, &operands, n * h * w * c)? {
                Ok(out) => {
                    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(out, self.device.clone()));
                    let shape = if first { (n, c, h, w) } else { (n, h, w, c) };
                    let out = Tensor::from_storage(storage, shape, BackpropOp::none(), false);
                    let out = if first { out.permute((0, 2, 3, 1))?.contiguous()? } else { out };
                    return Ok(Some(out));
                }
                Err(error) if is_unsupported(&error) => {}
                Err(error) => return Err(cuda_error(error)),
            }
        }
        Ok(None)
    }
}
