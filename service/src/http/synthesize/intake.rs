//! A body on its way in: bounded in bytes, and counted among what requests hold as it comes.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::{
    codec::{Budget, Reserved},
    http::problem::Problem,
};

/// Watches a body that somebody else reads.
#[derive(Clone)]
pub struct Intake(Arc<Mutex<State>>);

/// Bytes among which the head of a part is found.
const MOST_HEAD: usize = 64 << 10;

struct State {
    reserved: Reserved,
    /// Bytes that may still come.
    left: usize,
    /// Bytes that have come of the head of a part, while one is read.
    head: Option<usize>,
    refusal: Option<Problem>,
}

impl Intake {
    /// `body`, of at most `limit` bytes, taken from `budget` as they come.
    pub fn watch(body: Body, limit: usize, budget: &Budget) -> (Self, Body) {
        let intake = Self(Arc::new(Mutex::new(State {
            reserved: budget.empty(),
            left: limit,
            head: None,
            refusal: None,
        })));
        let watched = Watched { body, intake: intake.clone(), gave: false };
        (intake, Body::new(watched))
    }

    /// Why the body was not read on, if it was this side's doing.
    pub fn refusal(&self) -> Option<Problem> {
        self.state().refusal.clone()
    }

    /// What comes from here on is looked at for the head of a part, which is short, until it has been found.
    pub fn seek_head(&self) {
        self.state().head = Some(0);
    }

    /// The head has been found.
    pub fn found_head(&self) {
        self.state().head = None;
    }

    /// What the body holds of the budget. What comes after this is not counted.
    pub fn into_reserved(self) -> Reserved {
        let mut state = self.state();
        let empty = state.reserved.none();
        std::mem::replace(&mut state.reserved, empty)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there can be more, before it is waited for.
    fn check_head(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        if state.head.is_none_or(|came| came <= MOST_HEAD) {
            return Ok(());
        }
        let sentence = "no part of the form begins where one should, or its headers are too long; send it as forms are sent";
        Err(state.refuse(Problem::malformed(sentence)))
    }

    fn take(&self, bytes: usize) -> Result<(), io::Error> {
        let mut state = self.state();
        let refusal = if bytes > state.left {
            Some(Problem::too_large("the body has more bytes than the server takes; send smaller files"))
        } else if !state.reserved.try_grow(bytes) {
            Some(Problem::codec_full())
        } else {
            state.left -= bytes;
            state.head = state.head.map(|came| came + bytes);
            None
        };
        match refusal {
            None => Ok(()),
            Some(problem) => Err(state.refuse(problem)),
        }
    }
}

impl State {
    fn refuse(&mut self, problem: Problem) -> io::Error {
        self.refusal = Some(problem);
        self.reserved.shrink_to(0); // whoever reads it keeps nothing
        io::Error::other("the body is refused")
    }
}

/// The body as its reader sees it.
///
/// Between two frames it is pending for a moment: a reader that takes whatever is there, as that of forms does, would gather
/// all of a body before it looks at it.
struct Watched {
    body: Body,
    intake: Intake,
    gave: bool,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if std::mem::take(&mut self.gave) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Err(refused) = self.intake.check_head() {
            return Poll::Ready(Some(Err(axum::Error::new(refused))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.gave = matches!(frame, Some(Ok(_)));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(refused) = self.intake.take(data.len())
        {
            return Poll::Ready(Some(Err(axum::Error::new(refused))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn read(body: &'static str, limit: usize, budget: &Budget) -> (Intake, Result<Bytes, axum::Error>) {
        let (intake, body) = Intake::watch(Body::from(body), limit, budget);
        (intake, to_bytes(body, usize::MAX).await)
    }

    #[tokio::test]
    async fn what_has_come_is_held_until_it_is_let_go_and_no_more() {
        let budget = Budget::new(10);
        let (intake, body) = read("123456", 10, &budget).await;
        assert_eq!(body.unwrap(), "123456");
        let held = intake.into_reserved();
        assert!(budget.try_reserve(5).is_none() && budget.try_reserve(4).is_some());
        drop(held);
        assert!(budget.try_reserve(10).is_some());
    }

    #[tokio::test]
    async fn a_head_that_is_not_found_soon_is_not_sought_for_ever() {
        let pieces = || {
            futures_util::stream::iter((0..9).map(|_| Ok::<_, io::Error>(Bytes::from(vec![7; MOST_HEAD]))))
        };
        let budget = Budget::new(MOST_HEAD * 10);
        for is_head in [true, false] {
            let (intake, body) = Intake::watch(Body::from_stream(pieces()), MOST_HEAD * 10, &budget);
            intake.seek_head();
            if !is_head {
                intake.found_head();
            }
            assert_eq!(to_bytes(body, usize::MAX).await.is_err(), is_head);
            assert_eq!(intake.refusal().is_some(), is_head);
            let held = budget.try_reserve(MOST_HEAD * 10);
            assert_eq!(held.is_some(), is_head, "what is refused holds nothing");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_or_for_which_there_is_no_room_is_refused_and_holds_nothing() {
        let budget = Budget::new(5);
        for limit in [5, 10] {
            let (intake, body) = read("123456", limit, &budget).await;
            assert!(body.is_err());
            assert!(intake.refusal().is_some());
            assert!(budget.try_reserve(5).is_some());
        }
    }
}
