//! How the process ends: 0 done, 2 the caller's mistake, 1 ours.

use std::{io::Write as _, process::ExitCode};

use spadework_checkpoint::CheckpointError;
use spadework_remote::RemoteError;

use crate::synthesis::PrepareError;

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

/// Several errors as one that tells them all; the caller's mistake when they all are.
pub fn several(errors: Vec<anyhow::Error>) -> anyhow::Error {
    let text = errors.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("\n");
    if errors.iter().all(is_user_error) { Mistake::error(text) } else { anyhow::Error::msg(text) }
}

/// Prints the error, if there is one, with its causes, and says whose mistake it was.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Nobody may be reading any more; then there is nothing left to say.
    let _ = writeln!(std::io::stderr(), "spadework: {error:#}");
    ExitCode::from(if is_user_error(&error) { 2 } else { 1 })
}

fn is_user_error(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Mistake>()
            || cause.downcast_ref::<PrepareError>().is_some_and(PrepareError::is_user_error)
            || cause.downcast_ref::<RemoteError>().is_some_and(RemoteError::is_user_error)
            || cause.downcast_ref::<CheckpointError>().is_some_and(CheckpointError::is_user_error)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_mistake_is_the_user_s_whatever_was_being_done() {
        assert!(is_user_error(&Mistake::error("give a mask").context("synthesize")));
        assert!(is_user_error(&CheckpointError::Unknown("x".to_owned()).into()));
        assert!(!is_user_error(&anyhow!("out of memory")));
    }
}
