//! Which reported numbers are losses.

/// Whether a reported number is a loss.
pub(super) fn is_loss(name: &str) -> bool {
    !name.starts_with("gradient_norm")
}
