//! Where to listen, as it is typed: `host:port`, `:port`, a port alone, or `unix:path`.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use tokio::net::TcpListener;

use crate::http::Listening;

/// The port of an address without one.
const PORT: u16 = 8080;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A port of a host, by name or number.
    Tcp {
        /// The host; IPv6 without its brackets.
        host: String,
        /// The port; 0 for any that is free.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no address; write it as 127.0.0.1:{PORT}, localhost:{PORT}, :{PORT}, {PORT} or unix:PATH"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        let tcp = |host: &str, port: u16| Ok(Self::Tcp { host: host.to_owned(), port });
        if let Ok(address) = text.parse::<SocketAddr>() {
            return tcp(&address.ip().to_string(), address.port());
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse::<IpAddr>() {
            return tcp(&ip.to_string(), PORT);
        }
        // A port alone is this machine's; `:port` is every address that it has, as elsewhere.
        let (host, port) = match text.rsplit_once(':') {
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                ("127.0.0.1", text.parse().map_err(|_| wrong())?)
            }
            None => (text, PORT),
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        };
        match host {
            "" | "*" if text.contains(':') => tcp("::", port),
            _ if host.is_empty() || host.contains(['/', ' ', ':', '[', ']']) => Err(wrong()),
            _ => tcp(host, port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Whether nobody else can listen there beside.
    pub fn is_taken_by(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp { port: 0, .. })
    }

    /// Listens.
    ///
    /// # Errors
    /// When the host is not known, or the system does not let it.
    pub async fn bind(&self) -> io::Result<Listening> {
        match self {
            // A machine may have no IPv6 at all.
            Self::Tcp { host, port } if host == "::" => match TcpListener::bind((&**host, *port)).await {
                Ok(listener) => Ok(Listening::Tcp(listener)),
                Err(_) => Ok(Listening::Tcp(TcpListener::bind(("0.0.0.0", *port)).await?)),
            },
            Self::Tcp { host, port } => Ok(Listening::Tcp(TcpListener::bind((&**host, *port)).await?)),
            #[cfg(unix)]
            Self::Unix(path) => Listening::unix(path).await,
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let tcp = |host: &str, port| Ok(Address::Tcp { host: host.to_owned(), port });
        for (text, address) in [
            ("127.0.0.1:9000", tcp("127.0.0.1", 9000)),
            ("[::1]:8080", tcp("::1", 8080)),
            ("::1", tcp("::1", 8080)),
            ("[::]", tcp("::", 8080)),
            ("0.0.0.0", tcp("0.0.0.0", 8080)),
            ("9000", tcp("127.0.0.1", 9000)),
            ("0", tcp("127.0.0.1", 0)),
            (":9000", tcp("::", 9000)),
            ("*:9000", tcp("::", 9000)),
            ("localhost:0", tcp("localhost", 0)),
            ("localhost", tcp("localhost", 8080)),
            ("unix:/run/spadework.sock", Ok(Address::Unix("/run/spadework.sock".into()))),
        ] {
            assert_eq!(text.parse(), address, "{text}");
        }
        for wrong in [
            "",
            ":",
            "localhost:",
            "localhost:x",
            "70000",
            "unix:",
            "http://localhost:8080",
            "a b:80",
            "[::1",
            "::1]",
            "[[::1]]",
            "[]:1",
        ] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("127.0.0.1"), "{wrong}: {error}");
        }
    }
}
