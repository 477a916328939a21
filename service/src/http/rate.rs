//! How many requests a second each caller may send.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

use super::{keys::Caller, problem::Problem};

/// A rate for each caller, with a burst of one second's requests.
pub struct RateLimit {
    limiter: RateLimiter<Caller, DefaultKeyedStateStore<Caller>, DefaultClock>,
    clock: DefaultClock,
}

impl RateLimit {
    /// At most `per_second` requests a second from each caller.
    pub fn new(per_second: NonZeroU32) -> Self {
        let clock = DefaultClock::default();
        Self { limiter: RateLimiter::keyed(Quota::per_second(per_second)), clock }
    }

    /// Counts a request of `caller`.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn check(&self, caller: &Caller) -> Result<(), Problem> {
        self.limiter
            .check_key(caller)
            .map_err(|until| Problem::rate_limited(until.wait_time_from(self.clock.now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::keys::Role;

    fn caller(name: &str) -> Caller {
        Caller { name: name.into(), role: Role::Caller }
    }

    #[test]
    fn one_caller_does_not_use_up_another_s_rate() {
        let rate = RateLimit::new(NonZeroU32::MIN);
        let (alice, bob) = (caller("alice"), caller("bob"));
        assert!(rate.check(&alice).is_ok());
        assert!(rate.check(&alice).is_err());
        assert!(rate.check(&bob).is_ok());
    }
}
