//! What is done to a map, or to two, cell by cell.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use spadework_kernels::device::training::TrainingOperators;

use super::super::{SLOPE, graph::node};

pub(crate) fn leaky_relu(operators: &Arc<TrainingOperators>, x: &Tensor) -> Result<Tensor> {
    let slope = SLOPE as f32;
    let y = operators.leaky_relu(&x.contiguous()?, slope)?;
    let operators = Arc::clone(operators);
    node(&y, [x], move |_, y, dy| Ok([Some(operators.leaky_gradient(y, dy, slope)?)]))
}

pub(crate) fn add_noise(
    operators: &Arc<TrainingOperators>,
    x: &Tensor,
    weight: &Tensor,
    noise: &Tensor,
) -> Result<Tensor> {
    let noise = noise.detach().contiguous()?;
    let y = operators.add_noise(&x.contiguous()?, &noise, weight)?;
    let operators = Arc::clone(operators);
    node(&y, [x, weight], move |_, _, dy| {
        Ok([Some(dy.clone()), Some(operators.column_sums(dy, Some(&noise))?)])
    })
}

pub(crate) fn mean_distance(
    operators: &Arc<TrainingOperators>,
    x: &Tensor,
    constant: &Tensor,
) -> Result<Tensor> {
    if x.dims() != constant.dims() {
        bail!("a distance between {:?} and {:?}", x.dims(), constant.dims())
    }
    let (x, constant) = (x.contiguous()?, constant.detach().contiguous()?);
    let y = operators.mean_distance(&x, &constant)?;
    let operators = Arc::clone(operators);
    node(&y, [&x], move |[x], _, dy| Ok([Some(operators.distance_gradient(x, &constant, dy)?)]))
}

pub(crate) fn average_pool(operators: &Arc<TrainingOperators>, x: &Tensor) -> Result<Tensor> {
    let y = operators.average_pool(&x.contiguous()?)?;
    let operators = Arc::clone(operators);
    node(&y, [x], move |[x], _, dy| Ok([Some(operators.average_pool_gradient(x, dy)?)]))
}

pub(crate) fn max_pool(operators: &Arc<TrainingOperators>, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let y = operators.max_pool(&x)?;
    let operators = Arc::clone(operators);
    node(&y, [&x], move |[x], _, dy| Ok([Some(operators.max_pool_gradient(x, dy)?)]))
}
