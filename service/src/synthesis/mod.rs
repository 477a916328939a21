//! From files and options to pictures, whoever asks: the server and the command line run the same code, so the same
//! request makes the same bytes in both.

mod job;
mod option_value;
mod options;
mod prepare;
mod random;
mod render;
mod sample;
mod served;
mod worker;

pub use job::{Image, Job, Latent};
pub use option_value::{OptionValue, is_deep, unquoted};
pub use options::{Count, MaskFormat, OptionsError, OutputSize, Resize, SynthesisOptions};
pub use prepare::{Files, Kind, PrepareError, Prepared, prepare, read_mask};
pub use render::{RenderError, output_size, render};
pub use sample::sample_mask;
pub use served::{EngineDescription, ServedModel};
pub use worker::{EngineWorker, Generated, input, run_jobs};
