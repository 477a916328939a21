//! Loads of one server beside each other, for people and for programs.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{Summary, summary::Percentiles};

/// Characters of the longest bar.
const BAR: f64 = 30.0;

/// Every load of a server, in the order they were sent.
#[derive(Serialize)]
pub struct Report {
    /// The server.
    pub url: String,
    /// The models that were asked.
    pub models: Vec<String>,
    /// Milliseconds that each request allowed, if it said so.
    pub deadline_ms: Option<u128>,
    /// The most useful work of any load, pictures a second.
    pub capacity_per_second: f64,
    /// The loads.
    pub loads: Vec<Summary>,
}

impl Report {
    /// Takes in one more.
    pub fn add(&mut self, load: Summary) {
        self.capacity_per_second = self.capacity_per_second.max(load.useful_per_second);
        self.loads.push(load);
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let deadline = self.deadline_ms.map_or("the server's own".to_owned(), |ms| format!("{ms} ms"));
        writeln!(f, "{}: {}; deadline {deadline}", self.url, self.models.join(", "))?;
        writeln!(
            f,
            "{:>12} {:>10} {:>8} {:>8} {:>8} {:>9} {:>11} {:>6} {:>8}  useful work",
            "offered", "useful/s", "p50 ms", "p95 ms", "p99 ms", "refused", "their p99", "lost", "own lag"
        )?;
        for load in &self.loads {
            let bar = (BAR * load.useful_per_second / self.capacity_per_second.max(1e-9)).round() as usize;
            writeln!(f, "{load}  {}", "█".repeat(bar))?;
        }
        for reason in self.loads.iter().flat_map(|load| &load.lost_because) {
            writeln!(f, "lost: {reason}")?;
        }
        write!(f, "capacity {:.2} pictures a second", self.capacity_per_second)
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let offered = match (self.rate, self.clients) {
            (Some(rate), _) => format!("{rate:.1}/s"),
            (None, Some(clients)) => format!("{clients} callers"),
            (None, None) => String::new(),
        };
        let ms = |times: Option<Percentiles>, which: fn(Percentiles) -> f64| {
            times.map_or("-".to_owned(), |times| format!("{:.1}", which(times)))
        };
        let refused = 100.0 * self.refused() as f64 / self.requests.max(1) as f64;
        write!(
            f,
            "{offered:>12} {:>10.2} {:>8} {:>8} {:>8} {refused:>8.1}% {:>11} {:>6} {:>8}",
            self.useful_per_second,
            ms(self.picture_ms, |times| times.p50),
            ms(self.picture_ms, |times| times.p95),
            ms(self.picture_ms, |times| times.p99),
            ms(self.refusal_ms, |times| times.p99),
            self.lost,
            ms(self.lag_ms, |times| times.p99),
        )
    }
}
