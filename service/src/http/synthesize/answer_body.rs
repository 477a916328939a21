//! An answer on its way out: files as they are, or in base64 inside JSON, made as it is sent. What it holds counts among
//! what requests hold until its last byte is taken.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};

use crate::codec::Reserved;

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Bytes as they are.
    Plain(Bytes),
    /// Bytes in base64.
    Base64(Bytes),
}

/// Bytes of a frame before encoding, in whole groups of three. Small: what a peer takes is told frame by frame.
const FRAME: usize = 12 << 10;

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Plain(bytes) => bytes.len() as u64,
            Self::Base64(bytes) => 4 * (bytes.len() as u64).div_ceil(3),
        }
    }

    /// The next frame of it, if anything is left.
    fn next(&mut self) -> Option<Bytes> {
        let (Self::Plain(bytes) | Self::Base64(bytes)) = self;
        if !bytes.has_remaining() {
            return None;
        }
        let frame = bytes.split_to(bytes.len().min(FRAME));
        Some(match self {
            Self::Plain(_) => frame,
            Self::Base64(_) => BASE64_STANDARD.encode(frame).into(),
        })
    }
}

/// The segments one after the other.
pub struct AnswerBody {
    segments: VecDeque<Segment>,
    _held: Reserved,
}

impl AnswerBody {
    /// A body of these segments, which `held` is for.
    pub fn new(segments: impl IntoIterator<Item = Segment>, held: Reserved) -> Self {
        Self { segments: segments.into_iter().collect(), _held: held }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        while let Some(segment) = self.segments.front_mut() {
            match segment.next() {
                Some(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => drop(self.segments.pop_front()),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.segments.iter().all(|segment| segment.len() == 0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.segments.iter().map(Segment::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};

    use super::*;
    use crate::codec::Budget;

    #[tokio::test]
    async fn it_is_as_long_as_it_says_and_is_held_until_it_is_gone() {
        let budget = Budget::new(10);
        let file: Bytes = (0..40_000u32).map(|i| (i % 251) as u8).collect();
        let segments = [
            Segment::Plain("{\"data\":\"".into()),
            Segment::Base64(file.clone()),
            Segment::Plain("\"}".into()),
        ];
        let body = AnswerBody::new(segments, budget.try_reserve(10).unwrap());
        let told = body.size_hint().exact();
        assert!(budget.try_reserve(1).is_none());
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        assert_eq!(told, Some(body.len() as u64));
        assert_eq!(body, format!("{{\"data\":\"{}\"}}", BASE64_STANDARD.encode(&file)));
        assert!(budget.try_reserve(10).is_some());
    }
}
