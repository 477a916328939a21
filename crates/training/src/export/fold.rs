//! The averaged weights as a model directory holds them: spectral norm folded away, on the CPU, in f32.

use candle_core::{DType, Device, Result, Tensor, Var};
use spadework_model::Tensors;

use super::Averaged;
use crate::state::Variables;

/// Power iterations that bring the vectors of spectral norm from the trained weight to the averaged one, which is close.
const ITERATIONS: usize = 20;
/// Added to a vector's length, as the training forward does.
const EPSILON: f64 = 1e-12;
/// What the weight of a spectral-normed conv is called while it is trained.
const ORIGINAL: &str = "weight_orig";

/// The tensors of a model.
#[derive(Clone, Debug)]
pub struct ModelTensors {
    /// The generator's.
    pub generator: Tensors,
    /// The encoder's, if there is one.
    pub encoder: Option<Tensors>,
}

impl ModelTensors {
    /// The tensors of `averaged`.
    ///
    /// # Errors
    /// When a tensor cannot be computed.
    pub fn of(averaged: &Averaged) -> Result<Self> {
        Ok(Self {
            generator: folded(&averaged.generator)?,
            encoder: averaged.encoder.as_ref().map(folded).transpose()?,
        })
    }
}

/// The tensors of `network` under the names of a network without spectral norm.
fn folded(network: &Variables) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for (name, parameter) in &network.parameters {
        let parameter = on_cpu(parameter)?;
        let base = name.strip_suffix(ORIGINAL);
        let vector = base.and_then(|base| network.buffers.get(&format!("{base}weight_u")));
        match (base, vector) {
            (Some(base), Some(u)) => {
                tensors.insert(format!("{base}weight"), without_spectral_norm(&parameter, &on_cpu(u)?)?);
            }
            _ => {
                tensors.insert(name.clone(), parameter);
            }
        }
    }
    for (name, buffer) in network.buffers.iter().filter(|(name, _)| is_statistic(name)) {
        tensors.insert(name.clone(), on_cpu(buffer)?);
    }
    Ok(tensors)
}

/// A copy of its own: what is trained on changes in place.
fn on_cpu(variable: &Var) -> Result<Tensor> {
    variable.as_detached_tensor().to_device(&Device::Cpu)?.copy()
}

fn is_statistic(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// `W / σ` with σ the largest singular value of W seen as (out, rest), found from `u` on. In f64: the sums have thousands of terms.
fn without_spectral_norm(weight: &Tensor, u: &Tensor) -> Result<Tensor> {
    let matrix = weight.flatten_from(1)?.to_dtype(DType::F64)?;
    let mut u = u.to_dtype(DType::F64)?.flatten_all()?.unsqueeze(0)?; // (1, out)
    let mut v = unit(&u.matmul(&matrix)?)?; // (1, rest)
    for _ in 0..ITERATIONS {
        u = unit(&v.matmul(&matrix.t()?)?)?;
        v = unit(&u.matmul(&matrix)?)?;
    }
    let sigma = u.matmul(&matrix)?.mul(&v)?.sum_all()?.to_scalar::<f64>()?;
    (weight.to_dtype(DType::F64)? / sigma)?.to_dtype(DType::F32)
}

fn unit(row: &Tensor) -> Result<Tensor> {
    let length = row.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt();
    row.affine(1.0 / (length + EPSILON), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.linalg.svd([[3, 1, 0], [1, -2, 0.5]])[1][0]`
    const SIGMA: f32 = 3.194_047_7;

    #[test]
    fn a_folded_weight_has_a_largest_singular_value_of_one() {
        let weight = Tensor::new(&[[3f32, 1.0, 0.0], [1.0, -2.0, 0.5]], &Device::Cpu).unwrap();
        let u = Tensor::new(&[0.6f32, 0.8], &Device::Cpu).unwrap();
        let folded = without_spectral_norm(&weight, &u).unwrap().to_vec2::<f32>().unwrap();
        for (row, original) in folded.iter().zip(weight.to_vec2::<f32>().unwrap()) {
            for (value, original) in row.iter().zip(original) {
                assert!((value - original / SIGMA).abs() < 1e-6, "{value}, expected {}", original / SIGMA);
            }
        }
    }

    #[test]
    fn names_are_those_of_a_network_without_spectral_norm() {
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let network = Variables::from_tensors([
            ("c.weight_orig".to_owned(), tensor(&[2.0], &[1, 1])),
            ("c.weight_u".to_owned(), tensor(&[1.0], &[1])),
            ("c.weight_v".to_owned(), tensor(&[1.0], &[1])),
            ("n.running_mean".to_owned(), tensor(&[5.0], &[1])),
            ("n.num_batches_tracked".to_owned(), tensor(&[5.0], &[1])),
            ("fc.bias".to_owned(), tensor(&[7.0], &[1])),
        ])
        .unwrap();
        let folded = folded(&network).unwrap();
        let mut names: Vec<&String> = folded.keys().collect();
        names.sort();
        assert_eq!(names, ["c.weight", "fc.bias", "n.running_mean"]);
        assert_eq!(folded["c.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1.0]);
    }
}
