//! The offline training job.
//!
//! The mathematics (`step`, `networks`, `losses`, and `spadework_autograd`'s operations) hold no clock, do no I/O and draw no random numbers: `eps` and
//! the noise planes are arguments, as in `spadework-model`. `run` drives them: it draws, steps, writes and resumes.

pub mod commands;
pub mod compute;
pub mod data;
pub mod distributed;
pub mod evaluate;
pub mod export;
pub mod features;
pub mod losses;
pub mod networks;
pub mod objective;
pub mod optimizer;
pub mod outcome;
pub mod record;
pub mod reference;
pub mod run;
pub mod state;
pub mod step;
