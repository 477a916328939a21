//! The SPADE networks as readable, differentiable candle functions.
