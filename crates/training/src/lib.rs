//! The offline training job.
