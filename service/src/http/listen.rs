//! Accepts connections and serves them until told to stop. A slow or silent peer holds a connection, nothing else.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, http::Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::Service as _;

use super::{
    delivery::Deliveries,
    listening::{Accepted, Listening},
    write_timeout::{WritePace, WriteTimeout},
};

/// How long a peer may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// With the head of a request; an idle connection is kept as long.
    pub head: Duration,
    /// Without acknowledging what was sent, before it counts as gone.
    pub peer: Duration,
    /// With reading its answer.
    pub pace: WritePace,
}

impl Default for Patience {
    fn default() -> Self {
        let peer = Duration::from_secs(30);
        Self { head: Duration::from_secs(75), peer, pace: WritePace { bytes: 16 << 10, within: peer } }
    }
}

/// Pause after the system could not accept, for lack of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two log lines about it.
const ACCEPT_LOG: Duration = Duration::from_secs(1);
/// After a stop: how long a connection of HTTP/2 without a request may still take to end.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// After a stop: how long connections that the system has already opened are still taken in, and how long one that
/// has sent nothing yet may still send its request.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Serves `router` on `listener` until `stop` turns true; then takes no new connection, lets each finish the request
/// it is on, and returns when all have.
pub async fn serve(listener: Listening, router: Router, patience: Patience, mut stop: watch::Receiver<bool>) {
    let mut connections = Connections::new(router, patience, stop.clone());
    loop {
        tokio::select! {
            accepted = listener.accept() => connections.take(accepted).await,
            () = stopped(&mut stop) => break,
        }
    }
    // What the system has accepted for us would be reset when the listener closes. Past the last call one more
    // look is taken, until nothing is there.
    let last_call = Instant::now() + LAST_CALL;
    while let Ok(accepted) = timeout_at(last_call, listener.accept()).await {
        connections.take(accepted).await;
    }
    drop(listener);
    connections.finished().await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The open connections.
struct Connections {
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    patience: Patience,
    stop: watch::Receiver<bool>,
    /// Every connection holds a clone of the sender.
    open: mpsc::Sender<Infallible>,
    closed: mpsc::Receiver<Infallible>,
    failures: AcceptFailures,
}

/// Connections that could not be accepted.
#[derive(Default)]
struct AcceptFailures {
    told: Option<Instant>,
    /// Since it was told of.
    count: u64,
}

impl AcceptFailures {
    /// How many there were since the last time, when it is time to tell.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now - told < ACCEPT_LOG) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl Connections {
    fn new(router: Router, patience: Patience, stop: watch::Receiver<bool>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // A peer that closes its sending side counts as gone: that is how a caller that leaves is noticed.
        builder.http1().half_close(false).timer(TokioTimer::new()).header_read_timeout(patience.head);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(patience.peer);
        let (open, closed) = mpsc::channel(1);
        Self { builder, router, patience, stop, open, closed, failures: AcceptFailures::default() }
    }

    async fn take(&mut self, accepted: io::Result<Accepted>) {
        match accepted {
            Ok(Accepted::Tcp(stream, peer)) => {
                set_options(&stream, self.patience.peer);
                self.spawn(stream, peer);
            }
            #[cfg(unix)]
            Ok(Accepted::Unix(stream)) => self.spawn(stream, "unix".to_owned()),
            Err(error) => {
                if let Some(times) = self.failures.count(Instant::now()) {
                    tracing::warn!(%error, times, "connections could not be accepted");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn spawn(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: String) {
        let (used, deliveries) = (Arc::new(AtomicBool::new(false)), Deliveries::default());
        let (router, seen, begun) = (self.router.clone(), used.clone(), deliveries.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            seen.store(true, Ordering::Release);
            let exchange = begun.begin(request.version() == Version::HTTP_2);
            let request: Request = request.map(Body::new);
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(answer.map(|body| exchange.deliver(body)))
            }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(WriteTimeout::new(stream, self.patience.pace)), service)
            .into_owned();
        let (mut stop, open) = (self.stop.clone(), self.open.clone());
        let Patience { head, pace, .. } = self.patience;
        tokio::spawn(async move {
            tokio::pin!(connection);
            let last_call = async {
                stopped(&mut stop).await;
                if !used.load(Ordering::Acquire) {
                    sleep(LAST_CALL).await; // its first request may be on its way
                }
            };
            // The connection's own timer begins with the first byte.
            let silent = async {
                sleep(head).await;
                if used.load(Ordering::Acquire) {
                    pending().await
                }
            };
            // HTTP/1 has these bounds in its own timers.
            let unused = async {
                deliveries.idle_for(head).await;
                if !deliveries.is_multiplexed() {
                    pending().await
                }
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = silent => Ok(()),
                () = deliveries.fall_behind(pace) => Err("the peer does not take its answer".into()),
                () = unused => {
                    connection.as_mut().graceful_shutdown();
                    timeout(LAST_FRAMES, connection).await.unwrap_or(Ok(()))
                }
                // Half a head is no request: whoever sends it must not hold the stop up.
                () = last_call => if used.load(Ordering::Acquire) {
                    connection.as_mut().graceful_shutdown();
                    let forgotten = async {
                        deliveries.idle_for(LAST_FRAMES).await;
                        if !deliveries.is_multiplexed() {
                            pending().await
                        }
                    };
                    tokio::select! {
                        ended = connection => ended,
                        () = deliveries.fall_behind(pace) => Err("the peer does not take its answer".into()),
                        () = forgotten => Ok(()),
                    }
                } else {
                    Ok(())
                },
            };
            if let Err(error) = ended {
                tracing::debug!(peer, error, "a connection broke off");
            }
            drop(open);
        });
    }

    async fn finished(mut self) {
        drop(self.open);
        // Nothing is ever sent: the channel closes with the last connection.
        let _ = self.closed.recv().await;
    }
}

/// Small answers go out at once, and a peer that vanished without a word is noticed.
fn set_options(stream: &TcpStream, unacknowledged: Duration) {
    let set = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let set = set.and(SockRef::from(stream).set_tcp_user_timeout(Some(unacknowledged)));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use axum::routing::{get, post};
    use tokio::task::spawn_blocking;

    use super::*;

    #[test]
    fn failures_to_accept_are_told_of_once_a_second_and_counted() {
        let (mut failures, start) = (AcceptFailures::default(), Instant::now());
        let told: Vec<_> = (0..30).filter_map(|i| failures.count(start + i * ACCEPT_PAUSE)).collect();
        assert_eq!(told, [1, 20]);
    }

    /// A server that soon loses patience, and a connection to it.
    async fn impatient() -> (std::net::TcpStream, watch::Sender<bool>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listening::Tcp(listener);
        let soon = Duration::from_millis(300);
        let patience = Patience { head: soon, peer: soon, pace: WritePace { bytes: 16 << 10, within: soon } };
        let long = get(|| async { vec![0u8; 64 << 20] });
        let router = Router::new().route("/long", long).route("/echo", post(|body: String| async { body }));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, router, patience, stopped));
        let stream = spawn_blocking(move || std::net::TcpStream::connect(address).unwrap()).await.unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (stream, stop)
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let (mut stream, _stop) = impatient().await;
        assert_eq!(spawn_blocking(move || stream.read(&mut [0; 64])).await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_half_sent_head_is_given_up() {
        let (mut stream, _stop) = impatient().await;
        stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-").unwrap();
        let mut answer = Vec::new();
        spawn_blocking(move || stream.read_to_end(&mut answer).map(|_| answer)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_its_answer_is_cut_off() {
        let (mut stream, stop) = impatient().await;
        stream.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        // The sender is closed when the server has let go of every connection.
        sleep(Duration::from_millis(100)).await;
        stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(20), stop.closed()).await.unwrap();
        let mut answer = Vec::new();
        let ended =
            spawn_blocking(move || stream.read_to_end(&mut answer).map(|_| answer.len())).await.unwrap();
        assert!(ended.is_err() || ended.is_ok_and(|length| length < 64 << 20), "it was sent whole");
    }
}
