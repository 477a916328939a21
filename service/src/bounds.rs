//! The most that typed numbers can be: what is beyond is a slip of the keyboard, and would overflow or start a million threads.
//!
//! The server's settings are checked together, when they are resolved; [`at_most`] checks as it reads, where there is nothing to
//! resolve.

/// Threads of a pool: more than any machine has cores.
pub const MOST_THREADS: usize = 1024;
/// MiB of anything: 1 TiB.
pub const MOST_MIB: usize = 1 << 20;
/// Images in a batch.
pub const MOST_BATCH: usize = 1024;
/// Images that wait, or are made one after another.
pub const MOST_JOBS: usize = 1_000_000;

/// Reads a whole number of at most `MOST`.
///
/// # Errors
/// With what it must be.
pub fn at_most<const MOST: usize>(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number <= MOST)
        .ok_or_else(|| format!("it must be a whole number from 0 to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_overflow_is_refused() {
        assert_eq!(at_most::<MOST_THREADS>("8"), Ok(8));
        assert!(at_most::<MOST_THREADS>("1000000").unwrap_err().contains("1024"));
        for text in ["-1", "18446744073709551615", "99999999999999999999", "x", ""] {
            assert!(at_most::<MOST_MIB>(text).is_err(), "{text}");
        }
        assert!(MOST_MIB.checked_mul(1 << 20).is_some(), "as bytes it fits");
    }
}
