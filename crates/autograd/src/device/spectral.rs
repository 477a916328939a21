//! Spectral norm in candle's own operations: products of a matrix and a vector, in f32 whatever convs compute in.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use spadework_kernels::device::training::TrainingOperators;

use super::super::graph::node;

/// The least that a vector is divided by.
const EPSILON: f64 = 1e-12;

pub(crate) fn power_iteration(
    _: &Arc<TrainingOperators>,
    weight: &Tensor,
    u: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let (matrix, u) = (matrix(weight)?, u.detach().unsqueeze(0)?); // (out, rest), (1, out)
    let v = unit(&u.matmul(&matrix)?)?; // (1, rest)
    let u = unit(&v.matmul(&matrix.t()?)?)?;
    Ok((u.squeeze(0)?, v.squeeze(0)?))
}

pub(crate) fn spectral_weight(
    _: &Arc<TrainingOperators>,
    weight: &Tensor,
    u: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    // Copies: the vectors move on before the gradient is asked for.
    let (matrix, u, v) =
        (matrix(weight)?, u.copy()?.detach().unsqueeze(1)?, v.copy()?.detach().unsqueeze(0)?);
    let sigma = matrix.matmul(&v.t()?)?.mul(&u)?.sum_all()?; // uᵀWv
    let normalized = matrix.broadcast_div(&sigma)?.reshape(weight.shape())?;
    // (g − ⟨g, W/σ⟩ · u vᵀ) / σ
    node(&normalized, [weight], move |_, normalized, gradient| {
        let (rows, columns) = (u.dim(0)?, v.dim(1)?);
        let share = gradient.mul(normalized)?.reshape((rows, columns))?.sum(1)?.sum_all()?;
        let outer = u.broadcast_mul(&share)?.matmul(&v)?;
        let gradient = gradient.reshape((rows, columns))?.sub(&outer)?.broadcast_div(&sigma)?;
        Ok([Some(gradient.reshape(normalized.shape())?)])
    })
}

/// A weight as (out, rest), outside the graph.
fn matrix(weight: &Tensor) -> Result<Tensor> {
    weight.detach().flatten_from(1)
}

fn unit(row: &Tensor) -> Result<Tensor> {
    row.broadcast_div(&row.sqr()?.sum_all()?.sqrt()?.maximum(EPSILON)?)
}
