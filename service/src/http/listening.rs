//! A socket that connections come to: of the network, or in the file system.

use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A socket that is listened on.
pub enum Listening {
    /// Of the network.
    Tcp(TcpListener),
    /// In the file system, for whoever may write there. Its file goes with it.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// A connection, and what the other end is called.
pub enum Accepted {
    /// Over the network.
    Tcp(TcpStream, String),
    /// On this machine.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Removes a socket's file when it is dropped.
#[cfg(unix)]
pub struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // it may be gone already
    }
}

impl Listening {
    /// A socket at `path`, in the place of one that nobody listens on any more. Only its owner may use it.
    ///
    /// # Errors
    /// When somebody listens there, the path is of another file, or the system does not let it.
    #[cfg(unix)]
    pub async fn unix(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
            && UnixStream::connect(path).await.is_err()
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener, SocketFile(path.to_owned())))
    }

    /// The next connection.
    ///
    /// # Errors
    /// As the system's, for lack of file descriptors say.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, peer.to_string()))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }

    /// Where it is, as a client writes it.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn url(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            #[cfg(unix)]
            Self::Unix(_, SocketFile(path)) => Ok(format!("unix:{}", path.display())),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "nobody removes it");
        let listening = Listening::unix(&path).await.unwrap();
        assert!(Listening::unix(&path).await.is_err());
        drop(listening);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert!(Listening::unix(&path).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    }
}
