//! What the network is made of.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    conv_weights::{ConvWeights, ToImage},
    lookup::Lookup,
};
use spadework_kernels::device::{Download, Event, generator::ModulateArgs};

/// Slope of the leaky ReLU for negative values.
pub(crate) const SLOPE: f64 = 0.2;

/// The operations of a network on one device. Feature maps, hidden maps and tables have the type that the network
/// computes in, f32 or bf16; sums are taken in f32 and rounded once.
pub(crate) trait Operators: Send {
    /// What follows is the work of one batch, up to its [`download`](Self::download). The device begins it when it has
    /// come to `after`.
    fn begin(&self, after: &Event) -> Result<()>;

    /// A tensor whose numbers are written before they are read.
    fn blank(&self, shape: &[usize], dtype: DType) -> Result<Tensor>;

    /// `len` numbers that `write` writes to host memory, as a vector. May return before the device has them.
    fn upload(&self, len: usize, write: &mut dyn FnMut(&mut [u32])) -> Result<Tensor>;

    /// Such numbers from host memory. May return before the device has them.
    fn upload_real(&self, numbers: &[f32]) -> Result<Tensor>;

    /// A conv on one-hot planes: `bias + Σ weights[row]` for each patch of `rows` (patches, taps), as (patches, width);
    /// no negative numbers where `rectify` says so.
    fn lookup(&self, rows: &Tensor, conv: &Lookup, rectify: bool) -> Result<Tensor>;

    /// The hidden vectors (patches, width) at the taps (rows, taps) of every neighbourhood, side by side as (rows,
    /// taps · width). A tap that is no patch's number reads zeros.
    fn gather(&self, hidden: &Tensor, taps: &Tensor) -> Result<Tensor>;

    /// `a` (rows, k) × `b` (k, columns) into `out` (rows, columns), which may be some rows of a larger tensor.
    fn product(&self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()>;

    /// One SPADE layer's modulation of `x` (N, h, w, C) as (N, H, W, C).
    fn modulate(&self, x: &Tensor, modulation: &ModulateArgs<'_>) -> Result<Tensor>;

    /// A "same" conv of `x` (N, H, W, in) plus its bias, plus `onto` (N, H or H/2, W or W/2, out) where given, which is
    /// read up-sampled where it is smaller.
    fn conv(&self, x: &Tensor, conv: &ConvWeights, onto: Option<&Tensor>) -> Result<Tensor>;

    /// `x + plane · weight`, of (N, H, W, C), (N, H, W) f32 and (C) f32.
    fn add_noise(&self, x: Tensor, plane: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// The image of `x` (N, H, W, C) into `out` (N, H, W, 3): leaky ReLU, conv 3×3, tanh. As f32 in [-1, 1], or where
    /// `out` has bytes, as `trunc(clip((x + 1) / 2 · 255, 0, 255))`.
    fn image(&self, x: &Tensor, conv: &ToImage, out: &Tensor) -> Result<()>;

    /// The bytes of a batch's images (N, H, W, 3) to host memory. Does not wait for them.
    fn download(&self, images: &Tensor) -> Result<Box<dyn Download>>;

    /// What `work` gives to the device, which does not begin it before the graph is launched. It may call only what makes
    /// a network's body (`modulate`, `conv`, `add_noise`, `image`), and lets go of all that it makes.
    ///
    /// `tensors` are all that the work reads and writes and that is older than it.
    fn capture(&self, tensors: Vec<Tensor>, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        let _ = (tensors, work);
        bail!("there are no graphs on this device")
    }

    /// Another number when memory that captured work uses, besides its tensors, has moved: graphs that were captured before
    /// must not be launched again.
    fn moves(&self) -> usize {
        0
    }

    /// Gives back memory that graphs had and have no more.
    fn trim(&self) {}
}

/// Captured work, which can be given to its device over and over. It reads and writes the tensors that it was captured
/// with, which must still be there.
pub(crate) trait Graph: Send {
    /// Gives it to the device. Does not wait for it.
    fn launch(&self) -> Result<()>;
}
