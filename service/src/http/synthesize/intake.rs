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

struct State {
    reserved: Reserved,
    /// Bytes that may still come.
    left: usize,
    refusal: Option<Problem>,
}

impl Intake {
    /// `body`, of at most `limit` bytes, taken from `budget` as they come.
    pub fn watch(body: Body, limit: usize, budget: &Budget) -> (Self, Body) {
        let intake =
            Self(Arc::new(Mutex::new(State { reserved: budget.empty(), left: limit, refusal: None })));
        let watched = Watched { body, intake: intake.clone() };
        (intake, Body::new(watched))
    }

    /// Why the body was not read on, if it was this side's doing.
    pub fn refusal(&self) -> Option<Problem> {
        self.state().refusal.clone()
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

    fn take(&self, bytes: usize) -> Result<(), io::Error> {
        let mut state = self.state();
        let refusal = if bytes > state.left {
            Some(Problem::too_large("the body has more bytes than the server takes; send smaller files"))
        } else if !state.reserved.try_grow(bytes) {
            Some(Problem::codec_full())
        } else {
            state.left -= bytes;
            None
        };
        match refusal {
            None => Ok(()),
            Some(problem) => {
                state.refusal = Some(problem);
                state.reserved.shrink_to(0); // whoever reads it keeps nothing
                Err(io::Error::other("the body is refused"))
            }
        }
    }
}

/// The body as its reader sees it.
struct Watched {
    body: Body,
    intake: Intake,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
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
