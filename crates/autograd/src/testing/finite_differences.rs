//! A function's gradient beside finite differences in f64, and its f32 values beside its f64 values.

use candle_core::{DType, Device, Result, Tensor, Var};
use spadework_kernels::testing::TestNumbers;

/// Error of central differences at this step, relative to the gradient or to 1.
const DIFFERENCES: f64 = 1e-6;
const STEP: f64 = 1e-5;

/// What f32 leaves of an f64 result, relative to its largest value.
const SINGLE: f64 = 1e-5;

/// Elements that differ from each other and from zero, f64.
///
/// # Panics
/// Never: there are as many as the shape has.
pub fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut numbers = TestNumbers(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.precise()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A sum of the result in which every element counts differently.
///
/// # Errors
/// When `y` is not of floats.
pub fn weighted(y: &Tensor) -> Result<Tensor> {
    let weights = numbers(y.dims(), 77).to_dtype(y.dtype())?;
    (y * weights)?.sum_all()
}

/// Checks the gradients of `f` for each of `inputs`, at some of their elements, and its values in f32.
///
/// # Panics
/// When they do not agree.
///
/// # Errors
/// With what differs.
pub fn check(name: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let arguments: Vec<Tensor> = variables.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&arguments).unwrap();
    let gradients = weighted(&y).unwrap().backward().unwrap();
    for (index, variable) in variables.iter().enumerate() {
        let gradient =
            gradients.get(variable).unwrap_or_else(|| panic!("{name}: no gradient of input {index}"));
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let values = inputs[index].flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for at in (0..values.len()).step_by((values.len() / 60).max(1)) {
            let shifted = |by: f64| {
                let mut values = values.clone();
                values[at] += by;
                let mut arguments: Vec<Tensor> = inputs.to_vec();
                arguments[index] = Tensor::from_vec(values, inputs[index].shape(), &Device::Cpu).unwrap();
                weighted(&f(&arguments).unwrap()).unwrap().to_scalar::<f64>().unwrap()
            };
            let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            let error = (difference - gradient[at]).abs() / difference.abs().max(1.0);
            assert!(
                error < DIFFERENCES,
                "{name}: gradient {at} of input {index} is {}, not {difference}",
                gradient[at]
            );
        }
    }
    let single: Vec<Tensor> = inputs.iter().map(|input| input.to_dtype(DType::F32).unwrap()).collect();
    let single = f(&single).unwrap().to_dtype(DType::F64).unwrap();
    let largest =
        |x: &Tensor| x.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
    let error = largest(&(single - &y).unwrap());
    assert!(error <= SINGLE * largest(&y).max(1.0), "{name}: f32 differs by {error}");
}
