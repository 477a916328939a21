//! From what is trained to what is served.

mod average;
mod fold;
mod statistics;
#[cfg(test)]
mod tests;

pub use average::Averaged;
pub use fold::ModelTensors;
pub use statistics::reestimate;
