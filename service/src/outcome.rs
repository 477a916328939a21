//! How the process ends: 0 done, 2 the caller's mistake, 1 ours.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use spadework_checkpoint::CheckpointError;
use spadework_remote::RemoteError;

use crate::synthesis::PrepareError;

/// Options as sentences for any caller have them: in backticks, with their value or without.
const OPTIONS: [&str; 9] = [
    "mask_format",
    "resize",
    "output_size",
    "style_preset",
    "style_noise",
    "style",
    "latent",
    "instances",
    "seed",
];

/// A sentence with options as the command line has them: `resize=nearest` is `--resize nearest` there.
pub fn in_flags(sentence: &str) -> String {
    let flag = |quoted: &str| {
        let (name, value) = quoted.split_once('=').unwrap_or((quoted, ""));
        OPTIONS.contains(&name).then(|| format!("--{} {value}", name.replace('_', "-")).trim_end().to_owned())
    };
    let parts = sentence.split('`').enumerate();
    let parts = parts
        .map(|(i, part)| if i % 2 == 1 { flag(part).unwrap_or(part.to_owned()) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

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

/// A file of the caller's that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    Mistake::error(match error.kind() {
        io::ErrorKind::NotFound => format!("{} does not exist", path.display()),
        _ => format!("{} cannot be read: {error}", path.display()),
    })
}

/// Several errors as one that tells them all; the caller's mistake when they all are.
pub fn several(errors: Vec<anyhow::Error>) -> anyhow::Error {
    let text = errors.iter().map(told).collect::<Vec<_>>().join("\n");
    if errors.iter().all(is_user_error) { Mistake::error(text) } else { anyhow::Error::msg(text) }
}

/// Prints the error, if there is one, with its causes, and says whose mistake it was.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Nobody may be reading any more; then there is nothing left to say.
    let _ = writeln!(io::stderr(), "spadework: {}", told(&error));
    ExitCode::from(if is_user_error(&error) { 2 } else { 1 })
}

/// An error and its causes, each said once: many an error's own words hold its cause's.
pub fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |mut text, cause| {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
        text
    })
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
    fn options_are_flags_on_the_command_line() {
        assert_eq!(
            in_flags("ask for `resize=nearest`, `mask_format=raw` or `style_preset`; model `tiny` has `a=b`"),
            "ask for `--resize nearest`, `--mask-format raw` or `--style-preset`; model `tiny` has `a=b`"
        );
    }

    #[test]
    fn a_cause_that_is_in_the_sentence_is_not_said_again() {
        let cause = anyhow!("it is empty");
        let error = cause.context("the mask cannot be used: it is empty").context("a.png");
        assert_eq!(told(&error), "a.png: the mask cannot be used: it is empty");
        assert_eq!(told(&anyhow!("no such file").context("read a.png")), "read a.png: no such file");
    }

    #[test]
    fn a_mistake_is_the_user_s_whatever_was_being_done() {
        assert!(is_user_error(&Mistake::error("give a mask").context("synthesize")));
        assert!(is_user_error(&CheckpointError::Unknown("x".to_owned()).into()));
        assert!(!is_user_error(&anyhow!("out of memory")));
    }
}
