//! What is wrong with numbers that are typed, in the same words for `fit` and `resume`.

/// Why `value` cannot be the weight of a loss, if it cannot.
pub(super) fn not_a_weight(flag: &str, value: f64) -> Option<String> {
    let is_weight = value >= 0.0 && value.is_finite();
    (!is_weight).then(|| format!("{flag} is {value}; a weight is 0 or more"))
}

/// Why `lr` cannot be a learning rate, if it cannot.
pub(super) fn not_a_rate(lr: f64) -> Option<String> {
    let is_rate = lr > 0.0 && lr.is_finite();
    (!is_rate).then(|| format!("--lr is {lr}; it must be more than 0"))
}
