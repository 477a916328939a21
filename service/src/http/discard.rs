//! Reads what a refused peer still sends, so that it sees the refusal: one that is still sending when its connection closes
//! would see a broken pipe in its place. For every refusal, whoever makes it and however much of the body was read by then.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// How long the body of a refused request is read before it is answered.
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// How many of its bytes.
const DISCARDED: usize = 64 << 20;

/// Answers a request, and reads to its end what is left of the body of one that is refused, within bounds. None of it is
/// kept. A peer that waits for `100 Continue` and was not told to go on sends nothing that could be read.
pub async fn discard_when_refused(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(State { body, asked: false, ended: false })));
    let response = next.run(Request::from_parts(parts, Body::new(lent.clone()))).await;
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && (lent.state().asked || !waits) {
        // Whatever becomes of it: the refusal goes out next.
        let _ = timeout(DISCARD_TIME, discard(lent)).await;
    }
    response
}

async fn discard(mut lent: Lent) {
    let mut left = DISCARDED;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut lent).poll_frame(context)).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// A body that can be read on by whoever lent it.
#[derive(Clone)]
struct Lent(Arc<Mutex<State>>);

struct State {
    body: Body,
    /// Somebody has asked for it, and so the peer has been told to go on.
    asked: bool,
    ended: bool,
}

impl Lent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.state();
        if state.ended {
            return Poll::Ready(None);
        }
        state.asked = true;
        let frame = ready!(Pin::new(&mut state.body).poll_frame(context));
        state.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state();
        state.ended || state.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Router, http::StatusCode, middleware::from_fn, routing::post};
    use tower::ServiceExt as _;

    use super::*;

    /// A body of so many bytes in pieces of a KiB, and how many of them have been read.
    fn counted(bytes: usize) -> (Body, Arc<AtomicUsize>) {
        struct Counted(usize, Arc<AtomicUsize>);
        impl HttpBody for Counted {
            type Data = Bytes;
            type Error = std::convert::Infallible;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                let piece = self.0.min(1024);
                self.0 -= piece;
                self.1.fetch_add(piece, Ordering::SeqCst);
                Poll::Ready((piece > 0).then(|| Ok(Frame::data(vec![0; piece].into()))))
            }
        }
        let read = Arc::new(AtomicUsize::new(0));
        (Body::new(Counted(bytes, read.clone())), read)
    }

    /// The status of a request of 10 KiB to a path, and how many bytes of it were read.
    async fn send(path: &str, expect: bool) -> (StatusCode, usize) {
        let refused = |_: Request| async { StatusCode::UNSUPPORTED_MEDIA_TYPE };
        let half = |request: Request| async {
            let mut body = request.into_body();
            let _ = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            StatusCode::BAD_REQUEST
        };
        let fine = |_: Request| async { StatusCode::OK };
        let router = Router::new().route("/refused", post(refused)).route("/half", post(half));
        let router = router.route("/fine", post(fine)).layer(from_fn(discard_when_refused));
        let (body, read) = counted(10 << 10);
        let mut request = Request::post(path).body(body).unwrap();
        if expect {
            request.headers_mut().insert(header::EXPECT, "100-continue".parse().unwrap());
        }
        let response = router.oneshot(request).await.unwrap();
        (response.status(), read.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn whoever_refuses_a_body_it_is_read_to_its_end() {
        for (path, status, read) in [
            ("/refused", 415, 10 << 10),
            ("/half", 400, 10 << 10),
            ("/nowhere", 404, 10 << 10),
            ("/fine", 200, 0),
        ] {
            assert_eq!(send(path, false).await, (StatusCode::from_u16(status).unwrap(), read), "{path}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_waits_to_be_told_to_go_on_is_not_read_unless_it_was_told() {
        assert_eq!(send("/refused", true).await.1, 0);
        assert_eq!(send("/half", true).await.1, 10 << 10);
    }
}
