//! Graphs on a processor: candle's operators, which write down what they are asked for while a capture goes on.
//!
//! As on a device, nothing is computed during a capture, what is recorded keeps the tensors that it was recorded with, and
//! any other computation in between is lost: it sees and leaves numbers that mean nothing.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::gpu::{CandleOperators, ConvWeights, Graph, Lookup, Operators, ToImage};
use spadework_kernels::device::{DeviceFault, Download, Event, FaultKind, generator::ModulateArgs};

const CANDLE: CandleOperators = CandleOperators { device: Device::Cpu };

/// Operators with graphs.
#[derive(Default)]
pub(super) struct Recorder {
    tape: RefCell<Option<Vec<Step>>>,
    pub(super) device: Arc<FakeDevice>,
}

/// What a test knows of a device and decides about it.
#[derive(Default)]
pub(super) struct FakeDevice {
    pub(super) captures: AtomicUsize,
    pub(super) launches: AtomicUsize,
    pub(super) moves: AtomicUsize,
    pub(super) trims: AtomicUsize,
    /// Captures that fail from now on.
    pub(super) failing: AtomicUsize,
    /// The bytes that a batch's images may have; 0 is no bound.
    pub(super) capacity: AtomicUsize,
}

type Step = Box<dyn Fn() -> Result<()> + Send>;

struct Tape {
    steps: Vec<Step>,
    device: Arc<FakeDevice>,
    moves: usize,
}

impl Graph for Tape {
    fn launch(&self) -> Result<()> {
        assert_eq!(self.moves, self.device.moves.load(Relaxed), "what the graph works with is gone");
        self.device.launches.fetch_add(1, Relaxed);
        self.steps.iter().try_for_each(|step| step())
    }
}

impl Recorder {
    /// The result of `compute`: now, or whenever the graph that is being captured is launched.
    fn make(&self, compute: impl Fn() -> Result<Tensor> + Send + 'static) -> Result<Tensor> {
        let mut tape = self.tape.borrow_mut();
        let Some(steps) = tape.as_mut() else { return compute() };
        let like = compute()?; // of numbers that mean nothing: for its shape
        let out = garbage(like.dims(), like.dtype())?;
        let made = out.clone();
        steps.push(Box::new(move || made.slice_set(&compute()?, 0, 0)));
        Ok(out)
    }
}

/// A tensor of numbers that would show in every image.
fn garbage(shape: &[usize], dtype: DType) -> Result<Tensor> {
    match dtype {
        DType::U8 => Tensor::full(173u8, shape, &Device::Cpu),
        DType::U32 => Tensor::zeros(shape, dtype, &Device::Cpu), // an id that there is
        _ => Tensor::full(f32::NAN, shape, &Device::Cpu)?.to_dtype(dtype),
    }
}

impl Operators for Recorder {
    fn begin(&self, after: &Event) -> Result<()> {
        CANDLE.begin(after)
    }

    fn blank(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let capacity = self.device.capacity.load(Relaxed);
        if capacity > 0 && dtype == DType::U8 && shape.iter().product::<usize>() > capacity {
            return Err(DeviceFault::new(FaultKind::OutOfMemory, "out of memory").into());
        }
        garbage(shape, dtype)
    }

    fn upload(&self, len: usize, write: &mut dyn FnMut(&mut [u32])) -> Result<Tensor> {
        CANDLE.upload(len, write)
    }

    fn upload_real(&self, numbers: &[f32]) -> Result<Tensor> {
        CANDLE.upload_real(numbers)
    }

    fn lookup(&self, rows: &Tensor, conv: &Lookup, rectify: bool) -> Result<Tensor> {
        CANDLE.lookup(rows, conv, rectify)
    }

    fn gather(&self, hidden: &Tensor, taps: &Tensor) -> Result<Tensor> {
        CANDLE.gather(hidden, taps)
    }

    fn product(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        CANDLE.product(a, b, out)
    }

    fn modulate(&self, x: &Tensor, modulation: &ModulateArgs<'_>) -> Result<Tensor> {
        let [ids, table, bias, normalise] =
            [modulation.ids, modulation.table, modulation.bias, modulation.normalise].map(Tensor::clone);
        let (x, activate) = (x.clone(), modulation.activate);
        self.make(move || {
            let (ids, table, bias, normalise) = (&ids, &table, &bias, &normalise);
            CANDLE.modulate(&x, &ModulateArgs { ids, table, bias, normalise, activate })
        })
    }

    fn conv(&self, x: &Tensor, conv: &ConvWeights, onto: Option<&Tensor>) -> Result<Tensor> {
        let (x, conv, onto) = (x.clone(), conv.clone(), onto.cloned());
        self.make(move || CANDLE.conv(&x, &conv, onto.as_ref()))
    }

    fn add_noise(&self, x: Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (plane, weight) = (plane.clone(), weight.clone());
        self.make(move || CANDLE.add_noise(x.clone(), &plane, &weight))
    }

    fn image(&self, x: &Tensor, conv: &ToImage, out: &Tensor) -> Result<()> {
        let Some(steps) = &mut *self.tape.borrow_mut() else { return CANDLE.image(x, conv, out) };
        let (x, conv, out) = (x.clone(), conv.clone(), out.clone());
        steps.push(Box::new(move || CANDLE.image(&x, &conv, &out)));
        Ok(())
    }

    fn download(&self, images: &Tensor) -> Result<Box<dyn Download>> {
        CANDLE.download(images)
    }

    fn capture(&self, _: Vec<Tensor>, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        *self.tape.borrow_mut() = Some(Vec::new());
        let done = work();
        let steps = self.tape.take().unwrap_or_default();
        done?;
        if self.device.failing.load(Relaxed) > 0 {
            bail!("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")
        }
        self.device.captures.fetch_add(1, Relaxed);
        Ok(Box::new(Tape { steps, device: self.device.clone(), moves: self.moves() }))
    }

    fn moves(&self) -> usize {
        self.device.moves.load(Relaxed)
    }

    fn trim(&self) {
        self.device.trims.fetch_add(1, Relaxed);
    }
}
