//! Where the operations of a step are computed, and which form of each that is.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use spadework_kernels::device::training::TrainingOperators;
use spadework_model::Architecture;

use super::{Conv, Moments, Neighbourhoods, Span, device};

/// Where the operations of a step are computed. Each method is the operation of the same name.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// On this processor.
    #[default]
    Cpu,
    /// On another device, by the engine's operators for it.
    Device(Arc<TrainingOperators>),
}

/// Methods that hand their arguments to one of two functions.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl Backend {
            $($(#[$doc])*
            ///
            /// # Errors
            /// When shapes do not agree, or a tensor is elsewhere.
            pub fn $name(&self, $($argument: $kind),*) -> Result<$result> {
                match self {
                    Self::Cpu => super::$name($($argument),*),
                    Self::Device(operators) => device::$name(operators, $($argument),*),
                }
            })*
        }
    };
}

operations! {
    /// [`conv2d`](super::conv2d)
    conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: Conv) -> Tensor;
    /// [`leaky_relu`](super::leaky_relu)
    leaky_relu(x: &Tensor) -> Tensor;
    /// [`mean_distance`](super::mean_distance)
    mean_distance(x: &Tensor, constant: &Tensor) -> Tensor;
    /// [`hidden`](super::hidden)
    hidden(weight: &Tensor, bias: &Tensor, masks: &Arc<Neighbourhoods>, label_planes: usize) -> Tensor;
    /// [`table`](super::table)
    table(hidden: &Tensor, weight: &Tensor, bias: &Tensor, masks: &Arc<Neighbourhoods>) -> Tensor;
    /// [`modulate`](super::modulate)
    modulate(x: &Tensor, table: &Tensor, masks: &Arc<Neighbourhoods>, moments: &Arc<Moments>, activate: bool) -> Tensor;
    /// [`moments`](super::moments)
    moments(x: &Tensor, span: Span) -> Moments;
    /// [`normalize`](super::normalize)
    normalize(x: &Tensor, moments: Arc<Moments>, activate: bool) -> Tensor;
    /// [`fixed_moments`](super::fixed_moments)
    fixed_moments(mean: &Tensor, variance: &Tensor) -> Moments;
    /// [`add_noise`](super::add_noise)
    add_noise(x: &Tensor, weight: &Tensor, noise: &Tensor) -> Tensor;
    /// [`average_pool`](super::average_pool)
    average_pool(x: &Tensor) -> Tensor;
    /// [`max_pool`](super::max_pool)
    max_pool(x: &Tensor) -> Tensor;
    /// [`power_iteration`](super::power_iteration)
    power_iteration(weight: &Tensor, u: &Tensor) -> (Tensor, Tensor);
    /// [`spectral_weight`](super::spectral_weight)
    spectral_weight(weight: &Tensor, u: &Tensor, v: &Tensor) -> Tensor;
}

impl Backend {
    /// Where tensors lie.
    pub fn device(&self) -> &Device {
        match self {
            Self::Cpu => &Device::Cpu,
            Self::Device(operators) => operators.device(),
        }
    }

    /// What is multiplied: f32, or bf16 with sums in f32.
    pub fn multiplied(&self) -> DType {
        match self {
            Self::Cpu => DType::F32,
            Self::Device(operators) => operators.multiplied(),
        }
    }

    /// Takes a batch's masks to where they are read.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn place(&self, masks: Neighbourhoods, architecture: &Architecture) -> Result<Neighbourhoods> {
        match self {
            Self::Cpu => Ok(masks),
            Self::Device(operators) => masks.on_device(operators, architecture),
        }
    }
}
