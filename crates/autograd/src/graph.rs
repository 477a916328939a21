//! Results that were computed elsewhere, put into candle's graph with a backward pass of their own.

use std::sync::{Mutex, PoisonError};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, InplaceOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// The gradients of `N` inputs, where they have some, from inputs, result and the gradient behind it.
type Gradients<const N: usize> =
    dyn Fn([&Tensor; N], &Tensor, &Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync;

/// `y`, which nobody else holds, as a function of one to three `inputs` whose gradients `backward` gives.
pub(super) fn node<const N: usize>(
    y: &Tensor,
    inputs: [&Tensor; N],
    backward: impl Fn([&Tensor; N], &Tensor, &Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync + 'static,
) -> Result<Tensor> {
    if y.layout().contiguous_offsets() != Some((0, y.elem_count())) {
        bail!("a result of its own begins where its memory does")
    }
    let taken = Taken::default();
    y.inplace_op1(&taken)?;
    let node = Node::<N> { result: taken.0, shape: y.shape().clone(), backward: Box::new(backward) };
    // A node has three inputs; the last one stands in for those that are missing.
    let input = |index: usize| inputs[index.min(N - 1)];
    input(0).apply_op3(input(1), input(2), node)
}

struct Node<const N: usize> {
    result: Mutex<Option<Storage>>,
    shape: Shape,
    backward: Box<Gradients<N>>,
}

impl<const N: usize> Node<N> {
    fn result(&self) -> Option<Storage> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<const N: usize> CustomOp3 for Node<N> {
    fn name(&self) -> &'static str {
        "node"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match self.result() {
            Some(Storage::Cpu(result)) => Ok((result, self.shape.clone())),
            _ => bail!("a result enters the graph once, where its inputs are"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        match self.result() {
            Some(Storage::Cuda(result)) => Ok((result, self.shape.clone())),
            _ => bail!("a result enters the graph once, where its inputs are"),
        }
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let inputs = [first, second, third];
        // Outside the graph, so that a gradient does not hold on to it.
        let (y, gradient) = (y.detach(), gradient.detach().contiguous()?);
        let gradients = (self.backward)(std::array::from_fn(|index| inputs[index]), &y, &gradient)?;
        let mut gradients = gradients.into_iter();
        let mut next = || gradients.next().flatten();
        Ok((next(), next(), next()))
    }
}

/// The memory of a tensor, which is left without.
#[derive(Default)]
struct Taken(Mutex<Option<Storage>>);

impl Taken {
    fn keep(&self, storage: Storage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(storage);
    }
}

impl InplaceOp1 for Taken {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        self.keep(Storage::Cpu(std::mem::replace(storage, CpuStorage::U8(Vec::new()))));
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
        // One byte stays in its place, which nobody reads: who takes a tensor's memory lets go of the tensor.
        let device = storage.device.clone();
        let nothing = CudaStorage::wrap_cuda_slice(device.alloc_zeros::<u8>(1)?, device);
        self.keep(Storage::Cuda(std::mem::replace(storage, nothing)));
        Ok(())
    }
}
