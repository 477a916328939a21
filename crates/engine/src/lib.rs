//! The SPADE generator, compiled for speed.
