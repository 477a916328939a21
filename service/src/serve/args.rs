//! The settings of the server as they are typed.

use std::{num::NonZeroU32, path::PathBuf};

use clap::Args;
use humantime::Duration;

use super::address::Address;
use crate::{compute::ComputeArgs, library::LibraryArgs, logging::LogArgs, traces::TraceArgs};

/// Serve pictures over HTTP
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where to listen: host:port, :port for every address of the machine, or unix:path
    #[arg(long, env = "SPADEWORK_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: Address,
    /// Where to listen for metrics and model management, which then leave the public address; without keys, models are
    /// managed here alone
    #[arg(long, env = "SPADEWORK_ADMIN_LISTEN")]
    pub admin_listen: Option<Address>,
    #[command(flatten)]
    pub library: LibraryArgs,
    /// The model of requests that name none; else the first of --models by name, else the embedded one
    #[arg(long, env = "SPADEWORK_DEFAULT_MODEL", value_name = "NAME")]
    pub default_model: Option<String>,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Threads that decode, plan and encode images of usual sizes, beside fewer for large ones; 0 is a quarter of the cores on
    /// a CPU device, half beside a GPU
    #[arg(long, env = "SPADEWORK_CODEC_THREADS", default_value_t = 0)]
    pub codec_threads: usize,
    /// The largest batch that is tried
    #[arg(long, env = "SPADEWORK_MAX_BATCH", default_value_t = 32)]
    pub max_batch: usize,
    /// How long a request may take, from its first byte to its answer; a request can ask for less
    #[arg(long, env = "SPADEWORK_DEADLINE", default_value = "30s")]
    pub deadline: Duration,
    /// How long a body may take to arrive
    #[arg(long, env = "SPADEWORK_UPLOAD_TIMEOUT", default_value = "30s")]
    pub upload_timeout: Duration,
    /// Pictures that may wait, over all models
    #[arg(long, env = "SPADEWORK_QUEUE_JOBS", default_value_t = 1024)]
    pub queue_jobs: usize,
    /// Memory that waiting pictures may hold, in MiB
    #[arg(long, env = "SPADEWORK_QUEUE_MIB", default_value_t = 1024)]
    pub queue_mib: usize,
    /// Memory that requests being read, decoded, encoded and sent may hold, in MiB
    #[arg(long, env = "SPADEWORK_CODEC_MIB", default_value_t = 512)]
    pub codec_mib: usize,
    /// Bytes of a request, in MiB
    #[arg(long, env = "SPADEWORK_MAX_MIB", default_value_t = 25)]
    pub max_mib: usize,
    /// Pixels of a file, in millions
    #[arg(long, env = "SPADEWORK_MAX_MEGAPIXELS", default_value_t = 64)]
    pub max_megapixels: u64,
    /// File of API keys, one a line as `name:key` or `key`, or `admin:name:key` for one that may manage models; it is read
    /// again within ten seconds of a change, and on SIGHUP
    #[arg(long, env = "SPADEWORK_KEYS_FILE", value_name = "FILE")]
    pub keys_file: Option<PathBuf>,
    /// Requests a second that each key may send; without keys, all callers together
    #[arg(long, env = "SPADEWORK_RATE_LIMIT", value_name = "N")]
    pub rate_limit: Option<NonZeroU32>,
    /// Origin whose pages may call the API (CORS); repeat it for several
    #[arg(long, env = "SPADEWORK_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// After SIGTERM: how long to keep serving while unready
    #[arg(long, env = "SPADEWORK_LAME_DUCK", default_value = "5s")]
    pub lame_duck: Duration,
    /// After SIGTERM: how long until the process ends, whatever runs; else ten seconds more than --lame-duck and --deadline
    #[arg(long, env = "SPADEWORK_GRACE")]
    pub grace: Option<Duration>,
    /// A device whose batch is this much over its predicted time, or that leaves jobs waiting as long, makes the server
    /// unready; after as long again the process ends with 1
    #[arg(long, env = "SPADEWORK_STALL_AFTER", default_value = "30s")]
    pub stall_after: Duration,
    /// File in which it is noted how the process ends, for the next one to tell in its metrics; on a volume that outlives it
    #[arg(long, env = "SPADEWORK_EXIT_FILE", value_name = "FILE")]
    pub exit_file: Option<PathBuf>,
    #[command(flatten)]
    pub traces: TraceArgs,
    #[command(flatten)]
    pub log: LogArgs,
}
