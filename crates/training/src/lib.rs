//! The offline training job.

pub mod commands;
pub mod outcome;
