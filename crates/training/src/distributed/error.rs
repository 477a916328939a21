//! Why processes could not go on together.

use std::{io, time::Duration};

/// Why processes could not go on together.
#[derive(Debug, thiserror::Error)]
pub enum DistributedError {
    /// Rank 0 cannot take the address.
    #[error(
        "rank 0 cannot listen on {address}; set MASTER_ADDR and MASTER_PORT to an address of its own that is free"
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Rank 0 was not there in time.
    #[error("rank {rank} found nobody at {address} within {}", humantime::format_duration(*.waited))]
    Connect {
        /// Who looked.
        rank: usize,
        /// Where.
        address: String,
        /// How long.
        waited: Duration,
        /// The last failure.
        #[source]
        source: io::Error,
    },
    /// Somebody did not come.
    #[error("of {world} processes, rank {} did not come within {}", ranks(.missing), humantime::format_duration(*.waited))]
    Missing {
        /// All processes.
        world: usize,
        /// Those that are missing.
        missing: Vec<usize>,
        /// How long rank 0 waited.
        waited: Duration,
    },
    /// Two processes of one rank, or of different runs.
    #[error("a process that says it is rank {rank} of {world} came to a group of {expected}{}; give every process the same settings and a rank of its own", if *.same_run { "" } else { " with other settings" })]
    Stranger {
        /// The rank it claims.
        rank: usize,
        /// The size of the group it expects.
        world: usize,
        /// The size of the group.
        expected: usize,
        /// Whether it runs with the same settings.
        same_run: bool,
    },
    /// A process ended or cannot be reached.
    #[error("rank {rank} has gone; start all processes again, they go on from the last checkpoint")]
    Gone {
        /// Which.
        rank: usize,
        /// How it showed.
        #[source]
        source: io::Error,
    },
    /// Their devices cannot be connected.
    #[error("connect the devices of several processes: {0}")]
    Devices(String),
    /// Two processes are not in the same place of the program.
    #[error(
        "rank {rank} sends {found} bytes where {expected} are due: the processes do not run the same settings or release"
    )]
    OutOfStep {
        /// Which.
        rank: usize,
        /// What came.
        found: usize,
        /// What was due.
        expected: usize,
    },
}

fn ranks(missing: &[usize]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
