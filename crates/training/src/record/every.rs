//! How often something happens: by steps or by time.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A distance between two events, written `500` (steps) or `10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// So many steps.
    Steps(u64),
    /// So much time.
    Time(Duration),
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let every = match text.trim().parse() {
            Ok(steps) => Self::Steps(steps),
            Err(_) => Self::Time(humantime::parse_duration(text).map_err(|_| {
                format!("`{text}` is neither a number of steps, such as 500, nor a time, such as 10m")
            })?),
        };
        match every {
            Self::Steps(0) | Self::Time(Duration::ZERO) => Err("it must be more than nothing".to_owned()),
            every => Ok(every),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Time(time) => write!(f, "{}", humantime::format_duration(*time)),
        }
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Knows when the next event is due.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    every: Every,
    last: Instant,
}

impl Timer {
    /// The last event was `now`.
    pub fn new(every: Every, now: Instant) -> Self {
        Self { every, last: now }
    }

    /// Whether one is due after `step` steps; then the next is that far away again.
    pub fn is_due(&mut self, step: u64, now: Instant) -> bool {
        let due = match self.every {
            Every::Steps(steps) => step.is_multiple_of(steps),
            Every::Time(time) => now.duration_since(self.last) >= time,
        };
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times_are_told_apart_and_written_as_they_are_read() {
        for (text, every) in [("500", Every::Steps(500)), ("10m", Every::Time(Duration::from_secs(600)))] {
            assert_eq!(text.parse(), Ok(every));
            assert_eq!(every.to_string(), text);
        }
        for text in ["0", "0s", "often", "-3"] {
            assert!(text.parse::<Every>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_is_due_at_multiples_of_steps_or_after_its_time() {
        let start = Instant::now();
        let mut steps = Timer::new(Every::Steps(3), start);
        assert_eq!([1, 2, 3, 4].map(|step| steps.is_due(step, start)), [false, false, true, false]);
        let mut time = Timer::new(Every::Time(Duration::from_secs(10)), start);
        let at = [5, 10, 15, 20].map(|seconds| time.is_due(1, start + Duration::from_secs(seconds)));
        assert_eq!(at, [false, true, false, true]);
    }
}
