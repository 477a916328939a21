//! Convs by cuDNN, channels last, with bias and residual in the same call where cuDNN has that.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Result, Storage, StorageRef, Tensor, WithDType,
    backend::BackendDevice as _, bail, cuda_backend::CudaDType, op::BackpropOp,
};
use cudarc::{
    cudnn::{
        ActivationDescriptor, ConvBiasActivationForward, ConvDescriptor, ConvForward, Cudnn, CudnnDataType,
        CudnnError, FilterDescriptor, TensorDescriptor, sys,
    },
    driver::{CudaSlice, CudaView, DeviceRepr},
};

use super::{capture::forbid_in_capture, error::cuda_error};
use crate::device::{FaultKind, call::expect};

/// What was added to a conv's output, besides the conv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The bias, and the residual where there was one.
    BiasAndResidual,
    /// Nothing.
    Nothing,
}

/// Convs in one type.
pub trait Convolve: Send {
    /// The conv of `x` (N, H, W, in) with `weight` (out, k, k, in), alone or with `bias` (out) and `onto` (N, H, W, out), all
    /// in the convs' type; none where cuDNN has no such conv.
    ///
    /// # Errors
    /// When shapes or types do not agree, or the device fails.
    fn run(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        onto: Option<&Tensor>,
    ) -> Result<Option<(Tensor, Added)>>;

    /// How often working memory has moved, which graphs that were captured before do not know of.
    fn moves(&self) -> usize;
}

/// cuDNN's convs on a device. In f32 they round products to TF32 only where `tf32` says so.
///
/// # Errors
/// When `dtype` is neither f32 nor bf16, or cuDNN does not start.
pub fn convs(device: &CudaDevice, dtype: DType, tf32: bool) -> Result<Box<dyn Convolve>> {
    let math = match dtype {
        DType::F32 if !tf32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        _ => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    };
    match dtype {
        DType::F32 => Ok(Box::new(Convs::<f32>::new(device, math)?)),
        DType::BF16 => Ok(Box::new(Convs::<half::bf16>::new(device, math)?)),
        other => bail!("the network does not compute in {other:?}"),
    }
}

/// A handle that works on the device's stream.
pub(super) fn start(device: &CudaDevice) -> Result<Arc<Cudnn>> {
    match Cudnn::new(device.cuda_stream()) {
        Ok(cudnn) => Ok(cudnn),
        Err(error) => bail!(
            "cuDNN does not start on this device ({error:?}): its libraries must all be there, of release 9 for CUDA 13"
        ),
    }
}

/// The algorithm that fuses, and that reads its input in place.
const ALGORITHM: sys::cudnnConvolutionFwdAlgo_t =
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

struct Convs<T> {
    device: CudaDevice,
    cudnn: Arc<Cudnn>,
    identity: ActivationDescriptor<f32>,
    math: sys::cudnnMathType_t,
    prepared: RefCell<HashMap<Shape, Prepared<T>>>,
    workspace: RefCell<Option<CudaSlice<u8>>>,
    moves: Cell<usize>,
}

// SAFETY: a cuDNN handle and its descriptors may move between threads as long as two do not use them at once; nothing here
// is shared, and `RefCell` keeps it so.
unsafe impl<T> Send for Convs<T> {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    images: usize,
    height: usize,
    width: usize,
    input: usize,
    output: usize,
    kernel: usize,
    bias: bool,
}

/// A shape's descriptors, and what was found to work for it.
struct Prepared<T> {
    conv: ConvDescriptor<f32>,
    x: TensorDescriptor<T>,
    weight: FilterDescriptor<T>,
    bias: TensorDescriptor<T>,
    y: TensorDescriptor<T>,
    execution: Execution,
}

#[derive(Clone, Copy, Debug)]
enum Execution {
    /// Conv, bias and residual in one call.
    Fused { workspace: usize },
    /// The conv alone.
    Plain { algorithm: sys::cudnnConvolutionFwdAlgo_t, workspace: usize },
    /// Neither.
    Unsupported,
}

impl<T> Convs<T>
where
    T: CudnnDataType + WithDType + CudaDType + DeviceRepr,
{
    fn new(device: &CudaDevice, math: sys::cudnnMathType_t) -> Result<Self> {
        let cudnn = start(device)?;
        let identity = cudnn
            .create_activation(
                sys::cudnnActivationMode_t::CUDNN_ACTIVATION_IDENTITY,
                sys::cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN,
                0.0,
            )
            .map_err(cuda_error)?;
        let (prepared, workspace) = (RefCell::default(), RefCell::default());
        Ok(Self {
            device: device.clone(),
            cudnn,
            identity,
            math,
            prepared,
            workspace,
            moves: Cell::default(),
        })
    }

    fn prepare(&self, shape: Shape) -> std::result::Result<Prepared<T>, CudnnError> {
        let Shape { images, height, width, input, output, kernel, bias } = shape;
        let last = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let size = |n: usize| n as i32;
        let map = |n: usize, channels: usize, height: usize, width: usize| {
            self.cudnn.create_4d_tensor::<T>(last, [n, channels, height, width].map(size))
        };
        let pad = size(kernel / 2);
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut conv = self.cudnn.create_conv2d::<f32>([pad, pad], [1, 1], [1, 1], mode)?;
        conv.set_math_type(self.math)?;
        let mut prepared = Prepared {
            conv,
            x: map(images, input, height, width)?,
            weight: self.cudnn.create_4d_filter::<T>(last, [output, input, kernel, kernel].map(size))?,
            bias: map(1, output, 1, 1)?,
            y: map(images, output, height, width)?,
            execution: Execution::Unsupported,
        };
        prepared.execution = match prepared.plain().get_workspace_size(ALGORITHM) {
            Ok(workspace) if bias => Execution::Fused { workspace },
            Ok(workspace) => Execution::Plain { algorithm: ALGORITHM, workspace },
            Err(_) => prepared.another_algorithm(),
        };
        Ok(prepared)
    }

    /// Runs a prepared conv, and what it is left with once something turns out not to be there.
    fn attempt(
        &self,
        prepared: &mut Prepared<T>,
        tensors: &Tensors<'_, T>,
        y: &mut CudaSlice<T>,
    ) -> Result<Option<Added>> {
        loop {
            let (outcome, added) = match prepared.execution {
                Execution::Fused { workspace } => {
                    (self.fused(prepared, workspace, tensors, y)?, Added::BiasAndResidual)
                }
                Execution::Plain { algorithm, workspace } => {
                    (self.plain(prepared, algorithm, workspace, tensors, y)?, Added::Nothing)
                }
                Execution::Unsupported => return Ok(None),
            };
            match outcome {
                Ok(()) => return Ok(Some(added)),
                Err(error) if is_unsupported(&error) => {
                    // What a capture refuses is there without one.
                    forbid_in_capture(&self.device, "a conv that cuDNN does not have")?;
                    prepared.execution = match prepared.execution {
                        Execution::Fused { workspace } => {
                            Execution::Plain { algorithm: ALGORITHM, workspace }
                        }
                        Execution::Plain { algorithm: ALGORITHM, .. } => prepared.another_algorithm(),
                        Execution::Plain { .. } | Execution::Unsupported => Execution::Unsupported,
                    };
                }
                Err(error) => return Err(cuda_error(error)),
            }
        }
    }

    fn fused(
        &self,
        prepared: &Prepared<T>,
        workspace: usize,
        tensors: &Tensors<'_, T>,
        y: &mut CudaSlice<T>,
    ) -> Result<std::result::Result<(), CudnnError>> {
        let Some(bias) = &tensors.bias else { bail!("a conv without a bias is not fused") };
        let call = ConvBiasActivationForward {
            conv: &prepared.conv,
            act: &self.identity,
            x: &prepared.x,
            w: &prepared.weight,
            z: &prepared.y,
            bias: &prepared.bias,
            y: &prepared.y,
        };
        // Without a residual its factor is 0 and it is not read; the input stands in for it.
        let (residual, factor) = match &tensors.onto {
            Some(onto) => (onto, 1.0),
            None => (&tensors.x, 0.0),
        };
        let factors = (T::from_f64(1.0), T::from_f64(factor));
        let mut memory = self.workspace(workspace)?;
        // SAFETY: the descriptors were made from these tensors' shapes and type.
        Ok(unsafe {
            call.launch(ALGORITHM, memory.as_mut(), factors, &tensors.x, &tensors.weight, residual, bias, y)
        })
    }

    fn plain(
        &self,
        prepared: &Prepared<T>,
        algorithm: sys::cudnnConvolutionFwdAlgo_t,
        workspace: usize,
        tensors: &Tensors<'_, T>,
        y: &mut CudaSlice<T>,
    ) -> Result<std::result::Result<(), CudnnError>> {
        let factors = (T::from_f64(1.0), T::from_f64(0.0));
        let mut memory = self.workspace(workspace)?;
        // SAFETY: the descriptors were made from these tensors' shapes and type.
        Ok(unsafe {
            prepared.plain().launch(algorithm, memory.as_mut(), factors, &tensors.x, &tensors.weight, y)
        })
    }

    /// Working memory of at least `len` bytes, kept from call to call.
    fn workspace(&self, len: usize) -> Result<std::cell::RefMut<'_, Option<CudaSlice<u8>>>> {
        let mut memory = self.workspace.borrow_mut();
        if memory.as_ref().is_none_or(|memory| memory.len() < len) && len > 0 {
            forbid_in_capture(&self.device, "a conv whose working memory grows")?;
            self.moves.set(self.moves.get() + 1);
            *memory = None; // first, so that both need not fit
            // SAFETY: cuDNN writes its working memory before it reads it.
            *memory = Some(unsafe { self.device.alloc::<u8>(len)? });
        }
        Ok(memory)
    }
}

impl<T: CudnnDataType> Prepared<T> {
    fn plain(&self) -> ConvForward<'_, T, f32, T> {
        ConvForward { conv: &self.conv, x: &self.x, w: &self.weight, y: &self.y }
    }

    /// The one that cuDNN would pick, where there is one.
    fn another_algorithm(&self) -> Execution {
        let plain = self.plain();
        let found = plain.pick_algorithm().and_then(|algorithm| {
            Ok(Execution::Plain { algorithm, workspace: plain.get_workspace_size(algorithm)? })
        });
        found.unwrap_or(Execution::Unsupported)
    }
}

/// Whether cuDNN says that it has no such conv, rather than that something broke. Its older calls say so with a bad parameter
/// as well, where an algorithm is not for a shape.
pub(super) fn is_unsupported(error: &CudnnError) -> bool {
    matches!(FaultKind::of_cudnn(error.0 as u32), FaultKind::Unsupported | FaultKind::BadParameter)
}

/// A conv's operands on the device.
struct Tensors<'a, T> {
    x: CudaView<'a, T>,
    weight: CudaView<'a, T>,
    bias: Option<CudaView<'a, T>>,
    onto: Option<CudaView<'a, T>>,
}

impl<T> Convolve for Convs<T>
where
    T: CudnnDataType + WithDType + CudaDType + DeviceRepr,
{
    fn run(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        onto: Option<&Tensor>,
    ) -> Result<Option<(Tensor, Added)>> {
        let (images, height, width, input) = x.dims4()?;
        let (output, kernel, ..) = weight.dims4()?;
        expect(x, T::DTYPE, &[images, height, width, input])?;
        expect(weight, T::DTYPE, &[output, kernel, kernel, input])?;
        bias.map_or(Ok(()), |bias| expect(bias, T::DTYPE, &[output]))?;
        onto.map_or(Ok(()), |onto| expect(onto, T::DTYPE, &[images, height, width, output]))?;
        if kernel.is_multiple_of(2) {
            bail!("a conv of side {kernel} does not keep its map's size")
        }
        let shape = Shape { images, height, width, input, output, kernel, bias: bias.is_some() };
        let mut all = self.prepared.borrow_mut();
        let prepared = match all.entry(shape) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(self.prepare(shape).map_err(cuda_error)?)
            }
        };
        let out_shape = (images, height, width, output);
        // SAFETY: the conv writes all of it, or it is dropped unread.
        let mut y = unsafe { self.device.alloc::<T>(images * height * width * output)? };
        let operands = [Some(x), Some(weight), bias, onto];
        let storages = operands.map(|tensor| tensor.map(Tensor::storage_and_layout));
        let views = [0, 1, 2, 3]
            .map(|i| storages[i].as_ref().map(|storage| view::<T>(&self.device, storage)).transpose());
        let [x, weight, bias, onto] = views;
        let (Some(x), Some(weight)) = (x?, weight?) else { bail!("a conv has an input and weights") };
        let added = self.attempt(prepared, &Tensors { x, weight, bias: bias?, onto: onto? }, &mut y)?;
        let Some(added) = added else { return Ok(None) };
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(y, self.device.clone()));
        Ok(Some((Tensor::from_storage(storage, out_shape, BackpropOp::none(), false), added)))
    }

    fn moves(&self) -> usize {
        self.moves.get()
    }
}

/// A contiguous tensor's numbers.
pub(super) fn view<'a, T: CudaDType>(
    device: &CudaDevice,
    (storage, layout): &'a (StorageRef<'_>, &candle_core::Layout),
) -> Result<CudaView<'a, T>> {
    let Storage::Cuda(storage) = &**storage else { bail!("the tensor is not on a CUDA device") };
    if !storage.device.same_device(device) {
        bail!("the tensor is another device's, or another stream's")
    }
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => bail!("the tensor is not contiguous"),
    }
}
