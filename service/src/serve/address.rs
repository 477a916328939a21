//! Addresses to listen on, as people write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// The port of an address without one.
const PORT: u16 = 8080;

/// Reads an address: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, a port alone for this machine alone, a colon and a
/// port for all addresses, or a host without a port.
///
/// # Errors
/// When it is none of these, or the host has no address.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wanted =
        || format!("`{text}` is no address; write it as 127.0.0.1:{PORT}, localhost:{PORT} or :{PORT}");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), text.parse().map_err(|_| wanted())?));
    }
    if text.is_empty() {
        return Err(wanted());
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let port =
        if port.is_empty() && !text.ends_with(':') { PORT } else { port.parse().map_err(|_| wanted())? };
    if host.is_empty() || host == "*" {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    if host.contains(['/', ':', ' ']) {
        return Err(wanted());
    }
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("`{host}` has no address ({error}); write it as 127.0.0.1:{port}"))?
        .collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied().ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, read) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("[::1]:8080", "[::1]:8080"),
            ("::1", "[::1]:8080"),
            ("[::]", "[::]:8080"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("9000", "127.0.0.1:9000"),
            ("0", "127.0.0.1:0"),
            (":9000", "0.0.0.0:9000"),
            ("*:9000", "0.0.0.0:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8080"),
        ] {
            assert_eq!(address(text), Ok(read.parse().unwrap()), "{text}");
        }
        for text in ["", ":", "localhost:", "localhost:x", "70000", "http://localhost:8080", "a b:80"] {
            let error = address(text).unwrap_err();
            assert!(error.contains("127.0.0.1"), "{text}: {error}");
        }
    }
}
