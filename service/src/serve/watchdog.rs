//! Watches the devices: says once that one has stalled, and when nothing can be hoped for.

use std::time::Duration;

use spadework_batching::Health;
use tokio::time::sleep;

/// Between two looks.
const TICK: Duration = Duration::from_millis(250);

/// Resolves with the name of a device that has been stalled for `patience`. The time that counts is this process's own: one
/// that was paused, and whose devices were, is given a chance.
pub async fn stalled(health: impl Fn() -> Health, patience: Duration) -> String {
    let mut overdue = Duration::ZERO;
    loop {
        sleep(TICK).await;
        match health() {
            Health::Stalled { device } => {
                if overdue.is_zero() {
                    tracing::error!(
                        device,
                        ?patience,
                        "a device does not answer; without it the process will end"
                    );
                }
                overdue += TICK;
                if overdue >= patience {
                    return device;
                }
            }
            _ if overdue.is_zero() => {}
            _ => {
                tracing::info!("every device answers again");
                overdue = Duration::ZERO;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{Instant, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_device_that_stays_stalled_is_named_after_the_patience() {
        let started = Instant::now();
        let health = || Health::Stalled { device: "cuda:1".to_owned() };
        assert_eq!(stalled(health, PATIENCE).await, "cuda:1");
        assert!(started.elapsed() >= PATIENCE && started.elapsed() < PATIENCE + 2 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_answers_again_is_forgiven() {
        let looks = AtomicUsize::new(0);
        let health = || match looks.fetch_add(1, Ordering::Relaxed) % 100 {
            0 => Health::Serving,
            _ => Health::Stalled { device: "cpu".to_owned() },
        };
        assert!(timeout(100 * PATIENCE, stalled(health, PATIENCE)).await.is_err());
    }
}
