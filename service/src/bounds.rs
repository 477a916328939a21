//! Bounds of the numbers that are typed: what would overflow or start a million threads is refused as it is read.

use std::time::Duration;

/// Threads of a pool: more than any machine has cores.
pub const MOST_THREADS: usize = 4096;
/// MiB of anything: 16 TiB.
pub const MOST_MIB: usize = 16 << 20;
/// Pictures in a batch.
pub const MOST_BATCH: usize = 4096;
/// Pictures that wait.
pub const MOST_JOBS: usize = 10_000_000;
/// Millions of pixels of a file.
pub const MOST_MEGAPIXELS: u64 = 1_000_000;
/// The longest time that anything waits.
const LONGEST: Duration = Duration::from_hours(24 * 30);

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

/// Reads millions of pixels.
///
/// # Errors
/// With what it must be.
pub fn megapixels(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST_MEGAPIXELS);
    number.ok_or_else(|| format!("it must be a whole number from 0 to {MOST_MEGAPIXELS}"))
}

/// Reads a time such as `500ms`, `30s` or `2m`, of at most 30 days.
///
/// # Errors
/// With what it must be.
pub fn duration(text: &str) -> Result<humantime::Duration, String> {
    let duration: humantime::Duration =
        text.parse().map_err(|error| format!("{error}; write it as `500ms`, `30s` or `2m`"))?;
    if *duration > LONGEST {
        return Err("it must be 30 days at most".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_overflow_is_refused() {
        assert_eq!(at_most::<MOST_THREADS>("8"), Ok(8));
        assert!(at_most::<MOST_THREADS>("1000000").unwrap_err().contains("4096"));
        for text in ["-1", "18446744073709551615", "99999999999999999999", "x", ""] {
            assert!(at_most::<MOST_MIB>(text).is_err(), "{text}");
        }
        assert!(MOST_MIB.checked_mul(1 << 20).is_some(), "as bytes it fits");
        assert!(megapixels("18446744073709551615").is_err());
        assert_eq!(*duration("2m").unwrap(), Duration::from_secs(120));
        for text in ["100000000000years", "31days", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
