//! What a connection's peer takes of its answers. HTTP/2 has a window for each stream, and a peer that keeps one closed takes
//! nothing while the connection itself goes on: so every answer has to keep the pace that the connection has.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep};

use super::write_timeout::WritePace;

/// The requests of one connection, and how their answers are taken.
#[derive(Clone, Default)]
pub struct Deliveries(Arc<Inner>);

#[derive(Default)]
struct Inner {
    requests: Mutex<Vec<Weak<Exchange>>>,
    /// Some request came with HTTP/2.
    multiplexed: AtomicBool,
}

/// A request from its head to its answer's last byte.
pub struct Exchange(Mutex<Progress>);

struct Progress {
    /// The connection takes what the answer has to give, but not fast enough, since then.
    waits_since: Option<Instant>,
    /// Bytes taken since then.
    taken: usize,
}

/// Bytes of a frame: no more is with the connection than the peer has made room for.
const FRAME: usize = 16 << 10;

impl Deliveries {
    /// Counts a request of the connection; its answer is to be [wrapped](Exchange::deliver).
    pub fn begin(&self, multiplexed: bool) -> Arc<Exchange> {
        self.0.multiplexed.fetch_or(multiplexed, Ordering::Relaxed);
        let exchange = Arc::new(Exchange(Mutex::new(Progress { waits_since: None, taken: 0 })));
        self.requests().push(Arc::downgrade(&exchange));
        exchange
    }

    /// Whether requests share the connection, so that its own writes say nothing of one of them.
    pub fn is_multiplexed(&self) -> bool {
        self.0.multiplexed.load(Ordering::Relaxed)
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        let mut requests = self.requests();
        requests.retain(|request| request.strong_count() > 0);
        requests.is_empty()
    }

    /// Resolves when an answer is taken more slowly than `pace` allows.
    pub async fn fall_behind(&self, pace: WritePace) {
        loop {
            sleep(pace.within / 8).await;
            let now = Instant::now();
            let requests: Vec<_> = self.requests().iter().filter_map(Weak::upgrade).collect();
            if requests.iter().any(|request| request.is_behind(pace, now)) {
                return;
            }
        }
    }

    /// Resolves when no request has been under way for `span`.
    pub async fn idle_for(&self, span: Duration) {
        let mut idle_since = None;
        loop {
            sleep(span / 8).await;
            let now = Instant::now();
            match idle_since {
                _ if !self.is_idle() => idle_since = None,
                Some(since) if now - since >= span => return,
                Some(_) => {}
                None => idle_since = Some(now),
            }
        }
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Weak<Exchange>>> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The answer as the connection is to send it.
    pub fn deliver(self: Arc<Self>, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        self.progress().waits_since = Some(Instant::now());
        Body::new(Delivered { body, rest: Bytes::new(), exchange: self })
    }

    fn is_behind(&self, pace: WritePace, now: Instant) -> bool {
        let mut progress = self.progress();
        let Some(since) = progress.waits_since.filter(|since| now - *since >= pace.within) else {
            return false;
        };
        let behind = progress.taken < pace.bytes;
        if !behind {
            progress.taken = 0;
            progress.waits_since = Some(since + pace.within);
        }
        behind
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Delivered {
    body: Body,
    /// Of the body's last frame.
    rest: Bytes,
    exchange: Arc<Exchange>,
}

impl Delivered {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let frame = self.rest.split_to(self.rest.len().min(FRAME));
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

impl HttpBody for Delivered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = self.next(context);
        let mut progress = self.exchange.progress();
        match &frame {
            // It is the body that keeps the peer waiting.
            Poll::Pending => (progress.waits_since, progress.taken) = (None, 0),
            Poll::Ready(frame) => {
                let taken =
                    frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                progress.taken += taken;
                progress.waits_since.get_or_insert_with(Instant::now);
            }
        }
        drop(progress);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use tokio::time::timeout;

    use super::*;

    const PACE: WritePace = WritePace { bytes: 16 << 10, within: Duration::from_secs(30) };

    fn take(body: &mut Body) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_noticed_whatever_else_is_taken() {
        let deliveries = Deliveries::default();
        let stuck = deliveries.begin(true).deliver(Body::from(vec![0; 1 << 20]));
        let mut taken = deliveries.begin(true).deliver(Body::from(vec![0; 1 << 20]));
        let started = Instant::now();
        let moving = async {
            loop {
                assert_eq!(take(&mut taken), FRAME);
                sleep(Duration::from_secs(5)).await;
            }
        };
        tokio::select! {
            () = deliveries.fall_behind(PACE) => {}
            () = moving => {}
        }
        assert!(started.elapsed() < PACE.within * 5 / 4, "{:?}", started.elapsed());
        drop(stuck);
        assert!(!deliveries.is_idle());
        drop(taken);
        assert!(deliveries.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_and_a_slow_body_are_waited_for() {
        let deliveries = Deliveries::default();
        let mut slow = deliveries.begin(false).deliver(Body::from(vec![0; 1 << 20]));
        let source = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        let mut silent = deliveries.begin(false).deliver(source);
        assert_eq!(take(&mut silent), 0);
        let reading = async {
            while take(&mut slow) > 0 {
                sleep(Duration::from_secs(20)).await;
            }
        };
        tokio::select! {
            () = deliveries.fall_behind(PACE) => panic!("it keeps its pace"),
            () = reading => {}
        }
        drop(slow);
        assert!(timeout(Duration::from_secs(600), deliveries.fall_behind(PACE)).await.is_err());
    }

    #[tokio::test]
    async fn a_body_comes_through_whole_in_small_frames() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        let mut body = Deliveries::default().begin(true).deliver(Body::from(bytes.clone()));
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut read = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= FRAME);
            read.extend(data);
        }
        assert_eq!(read, bytes);
    }
}
