//! The operations on a device: what the kernels' operators compute there, put into candle's graph. Each takes what the
//! operation of the same name takes on a CPU, and gives what it gives but for rounding.

mod conv;
mod maps;
mod spade;
mod spectral;
#[cfg(test)]
mod tests;

pub(super) use self::{
    conv::conv2d,
    maps::{add_noise, average_pool, leaky_relu, max_pool, mean_distance},
    spade::{fixed_moments, hidden, modulate, moments, normalize, table},
    spectral::{power_iteration, spectral_weight},
};
