//! Accepts connections and serves them until told to stop. A slow or silent peer holds a connection, nothing else.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};
use tower::Service as _;

use super::admin::Peer;

/// How long a request's head may take, and an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long sent bytes may stay unacknowledged before the peer counts as gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system could not accept, for lack of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// After a stop: how long connections that the system has already opened are still taken in, and how long one that
/// has sent nothing yet may still send its request.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Serves `router` on `listener` until `stop` turns true; then takes no new connection, lets each finish the request
/// it is on, and returns when all have.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let connections = Connections::new(router, stop.clone());
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
    stop: watch::Receiver<bool>,
    /// Every connection holds a clone of the sender.
    open: mpsc::Sender<Infallible>,
    closed: mpsc::Receiver<Infallible>,
}

impl Connections {
    fn new(router: Router, stop: watch::Receiver<bool>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(PEER_TIMEOUT);
        let (open, closed) = mpsc::channel(1);
        Self { builder, router, stop, open, closed }
    }

    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.spawn(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr) {
        set_options(&stream);
        let used = Arc::new(AtomicBool::new(false));
        let (router, seen) = (self.router.clone(), used.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            seen.store(true, Ordering::Release);
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let answer = router.clone().call(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let (mut stop, open) = (self.stop.clone(), self.open.clone());
        tokio::spawn(async move {
            tokio::pin!(connection);
            let last_call = async {
                stopped(&mut stop).await;
                if !used.load(Ordering::Acquire) {
                    sleep(LAST_CALL).await; // its first request may be on its way
                }
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = last_call => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, error, "a connection broke off");
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
fn set_options(stream: &TcpStream) {
    let set = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let set = set.and(SockRef::from(stream).set_tcp_user_timeout(Some(PEER_TIMEOUT)));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}
