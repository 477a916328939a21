//! Standard output of the commands. When nobody reads it any more, the command ends quietly, as in `spadework inspect … | head`.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write as _, stdout},
    process,
};

/// Writes to standard output, or ends the process when its reader has gone.
pub fn write(text: Arguments<'_>) {
    match stdout().write_fmt(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        // A full disk behind a redirection: what was asked for is not there.
        Err(error) => {
            eprintln!("spadework: standard output cannot be written: {error}");
            process::exit(1)
        }
        Ok(()) => {}
    }
}

/// A line on standard output.
macro_rules! outln {
    ($($part:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use outln;
