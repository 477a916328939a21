//! What tests of the engines share.

pub(crate) mod fixtures;
