//! `spadework health`: a probe for containers, which have no curl.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use crate::outcome::Mistake;

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of the probe.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// What to ask
    #[arg(long, env = "SPADEWORK_HEALTH_URL", default_value = "http://127.0.0.1:8080/readyz")]
    url: String,
}

/// Asks once.
///
/// # Errors
/// When the server is not ready or does not answer.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let wanted = || Mistake::error(format!("--url is `{}`; write it as http://HOST:PORT/PATH", args.url));
    let (host, path) =
        args.url.strip_prefix("http://").ok_or_else(wanted)?.split_once('/').ok_or_else(wanted)?;
    let address: SocketAddr = host
        .to_socket_addrs()
        .map_err(|_| wanted())?
        .next()
        .ok_or_else(|| anyhow!("{host} has no address"))?;
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("connect to {host}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    bail!("not ready: {}", answer.lines().next().unwrap_or("no answer"))
}
