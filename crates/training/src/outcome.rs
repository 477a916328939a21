//! How the process ends: 0 done, 2 the caller's mistake, 1 ours.

use std::{io::Write as _, process::ExitCode};

use spadework_checkpoint::CheckpointError;
use spadework_imaging::MaskError;

/// The caller's mistake, told as what to change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(String);

impl Mistake {
    /// A mistake as an error to return.
    pub fn error(sentence: impl Into<String>) -> anyhow::Error {
        Self(sentence.into()).into()
    }
}

/// Prints the error, if there is one, with its causes, and says whose mistake it was.
pub fn exit_code(result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    // Nobody may be reading any more; then there is nothing left to say.
    let _ = writeln!(std::io::stderr(), "spadework-train: {error:#}");
    ExitCode::from(if is_user_error(&error) { 2 } else { 1 })
}

fn is_user_error(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Mistake>()
            || cause.is::<MaskError>()
            || cause.downcast_ref::<CheckpointError>().is_some_and(CheckpointError::is_user_error)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_mistake_is_user_error_whatever_was_being_done() {
        assert!(is_user_error(&Mistake::error("give a folder").context("fit")));
        assert!(is_user_error(&CheckpointError::Unknown("x".to_owned()).into()));
        assert!(!is_user_error(&anyhow!("out of memory")));
    }
}
