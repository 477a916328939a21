//! Reads what a refused peer still sends, so that it sees the refusal.

use std::{future::poll_fn, pin::Pin, time::Duration};

use axum::{extract::Request, http::header};
use bytes::Bytes;
use hyper::body::Body as _;
use tokio::time::timeout;

/// How long the body of a refused request is read before it is answered.
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// How many of its bytes.
const DISCARDED: usize = 64 << 20;

/// Reads the body of a request that is refused anyhow, within bounds, and keeps none of it. A peer that is still
/// sending when its connection closes would see a broken pipe in place of the refusal; one that waits for `100
/// Continue` is not.
pub async fn discard(request: Request) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body();
    let mut left = DISCARDED;
    let read = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whatever becomes of it: the refusal goes out next.
    let _ = timeout(DISCARD_TIME, read).await;
}
