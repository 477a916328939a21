//! Where to listen, as it is typed: `host:port`, `:port`, a port alone, or `unix:path`.

use std::{fmt, io, path::PathBuf, str::FromStr};

use tokio::net::TcpListener;

use crate::http::Listening;

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
        let wrong = || format!("`{text}` is no address; write host:port, :port, port or unix:path");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        // A port alone is this machine's; `:port` is every address that it has, as elsewhere.
        let (host, port) = match text.rsplit_once(':') {
            None => ("127.0.0.1", text),
            Some(("", port)) => ("::", port),
            Some((host, port)) => (host, port),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) => host,
            None if host.contains(':') && host != "::" => return Err(wrong()),
            None => host,
        };
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(wrong());
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
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
            ("127.0.0.1:8080", tcp("127.0.0.1", 8080)),
            ("localhost:0", tcp("localhost", 0)),
            ("[::1]:8080", tcp("::1", 8080)),
            (":8080", tcp("::", 8080)),
            ("8080", tcp("127.0.0.1", 8080)),
            ("unix:/run/spadework.sock", Ok(Address::Unix("/run/spadework.sock".into()))),
        ] {
            assert_eq!(text.parse(), address, "{text}");
        }
        for wrong in
            ["", "localhost", "localhost:", "::1:8080", "a:99999", "unix:", "http://a:1", "[]:1", ":"]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
