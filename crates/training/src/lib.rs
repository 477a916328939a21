//! The offline training job.

pub mod commands;
pub mod distributed;
pub mod networks;
pub mod objective;
pub mod optimizer;
pub mod outcome;
pub mod run;
pub mod state;
pub mod step;
