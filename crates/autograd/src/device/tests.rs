//! Every operation on a device beside the same on a CPU, values and gradients: with the kernels run on a processor, and
//! on a CUDA device where there is one.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use spadework_model::{Grid, Modulation};

#[cfg(feature = "cuda")]
use crate::testing::cuda;
use crate::{
    Backend, Conv, Moments, Neighbourhoods, Span, power_iteration,
    testing::{Alone, architecture, emulated, masks, numbers},
};

/// Largest ‖difference‖ of values and gradients in f32, relative to ‖CPU's‖ or to 1: where terms of that size cancel, as
/// in a norm over two cells, nothing but their rounding is left.
const TOLERANCE: f64 = 2e-5;

fn norm(x: &Tensor) -> f64 {
    x.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
}

fn to_cpu(x: &Tensor) -> Tensor {
    x.detach().to_device(&Device::Cpu).unwrap()
}

/// What `f` makes of `inputs`, and the gradients of all of them.
fn values(
    backend: &Backend,
    inputs: &[Tensor],
    f: &impl Fn(&Backend, &[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let there = |input: &Tensor| Var::from_tensor(&input.to_dtype(DType::F32)?.to_device(backend.device())?);
    let variables = inputs.iter().map(there).collect::<Result<Vec<_>>>()?;
    let arguments: Vec<Tensor> = variables.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(backend, &arguments)?;
    let weights = numbers(y.dims(), 77).to_dtype(DType::F32)?.to_device(backend.device())?;
    // Flat, since candle allocates nothing, which CUDA may refuse, to sum what has no dimensions.
    let gradients = (&y * weights)?.flatten_all()?.sum_all()?.backward()?;
    let of = |var: &Var| to_cpu(gradients.get(var).expect("every input has a gradient"));
    Ok(std::iter::once(to_cpu(&y)).chain(variables.iter().map(of)).collect())
}

/// Holds `f` on the device to `f` on a CPU.
fn agree(what: &str, device: &Backend, inputs: &[Tensor], f: impl Fn(&Backend, &[Tensor]) -> Result<Tensor>) {
    let (ours, expected) = (values(device, inputs, &f).unwrap(), values(&Backend::Cpu, inputs, &f).unwrap());
    for (index, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
        assert_eq!(ours.dims(), expected.dims(), "{what}: {index}");
        let (error, size) = (norm(&(ours - expected).unwrap()), norm(expected).max(1.0));
        assert!(error <= TOLERANCE * size, "{what}: {} differs by {error:e} of {size:e}", name(index));
    }
}

fn name(index: usize) -> String {
    if index == 0 { "the result".to_owned() } else { format!("the gradient of input {}", index - 1) }
}

fn convs(device: &Backend) {
    for (kernel, stride, padding) in
        [(1, 1, 0), (3, 1, 1), (3, 2, 1), (4, 2, 2), (4, 1, 2), (3, 1, 0), (2, 3, 1)]
    {
        for ([n, h, w, input], output) in [([2, 6, 6, 3], 5), ([1, 7, 4, 9], 17), ([2, 4, 4, 1], 1)] {
            for slope in [1.0, 0.2, 0.0] {
                let conv = Conv { padding, stride, slope };
                let weight = numbers(&[output, input, kernel, kernel], 2);
                let inputs = [numbers(&[n, h, w, input], 1), weight, numbers(&[output], 3)];
                let what = format!("{h}x{w}x{input} to {output} by {kernel}, {conv:?}");
                agree(&what, device, &inputs, |on, x| on.conv2d(&x[0], &x[1], Some(&x[2]), conv));
                agree(&what, device, &inputs[..2], |on, x| on.conv2d(&x[0], &x[1], None, conv));
            }
        }
    }
}

fn maps(device: &Backend) {
    // The last is larger than one part of a sum.
    for shape in [[2, 6, 4, 3], [1, 5, 7, 2], [1, 2, 3, 1], [2, 20, 30, 2]] {
        let x = [numbers(&shape, 1)];
        let what = |operation: &str| format!("{operation} of {shape:?}");
        agree(&what("leaky ReLU"), device, &x, |on, x| on.leaky_relu(&x[0]));
        agree(&what("average pool"), device, &x, |on, x| on.average_pool(&x[0]));
        agree(&what("max pool"), device, &x, |on, x| on.max_pool(&x[0]));
        let constant = numbers(&shape, 2).to_dtype(DType::F32).unwrap();
        agree(&what("distance"), device, &x, |on, x| {
            on.mean_distance(&x[0], &constant.to_device(on.device())?)? * constant.elem_count() as f64
        });
        let [n, h, w, c] = shape;
        let plane = numbers(&[n, 1, h, w], 3).to_dtype(DType::F32).unwrap();
        agree(&what("noise"), device, &[x[0].clone(), numbers(&[c], 4)], |on, x| {
            on.add_noise(&x[0], &x[1], &plane.to_device(on.device())?)
        });
    }
    assert!(device.max_pool(&Tensor::zeros((1, 1, 2, 1), DType::F32, device.device()).unwrap()).is_err());
}

fn normalisation(device: &Backend) {
    let spans = [Span::Image, Span::Batch, Span::Processes(Arc::new(Alone))];
    for shape in [[3, 4, 5, 6], [2, 13, 11, 3]] {
        // A mean that is large beside the deviation.
        let x = [(numbers(&shape, 1) + 3.0).unwrap()];
        for (span, activate) in spans.iter().flat_map(|span| [(span, false), (span, true)]) {
            agree(&format!("normalize {shape:?} over {span:?}"), device, &x, |on, x| {
                on.normalize(&x[0], Arc::new(on.moments(&x[0], span.clone())?), activate)
            });
        }
    }
    agree("normalize by constants", device, &[numbers(&[2, 3, 3, 2], 1)], |on, x| {
        let vector = |values: [f32; 2]| Tensor::new(&values, on.device());
        let fixed = on.fixed_moments(&vector([0.1, -0.2])?, &vector([0.5, 2.0])?)?;
        on.normalize(&x[0], Arc::new(fixed), true)
    });
}

fn spectral_norm(device: &Backend) {
    for shape in [vec![5, 3, 3, 3], vec![4, 7, 1, 1], vec![1, 2, 4, 4]] {
        let weight = numbers(&shape, 1).to_dtype(DType::F32).unwrap();
        let (u, v) =
            power_iteration(&weight, &numbers(&shape[..1], 2).to_dtype(DType::F32).unwrap()).unwrap();
        agree("spectral norm", device, std::slice::from_ref(&weight), |on, x| {
            on.spectral_weight(&x[0], &u.to_device(on.device())?, &v.to_device(on.device())?)
        });
        let there = |x: &Tensor| x.to_device(device.device()).unwrap();
        let (new_u, new_v) = device.power_iteration(&there(&weight), &there(&u)).unwrap();
        let expected = power_iteration(&weight, &u).unwrap();
        for (ours, expected) in [(new_u, expected.0), (new_v, expected.1)] {
            assert!(norm(&(to_cpu(&ours) - expected).unwrap()) < TOLERANCE, "{shape:?}");
        }
    }
}

fn modulation(device: &Backend) {
    let kinds = [(3, Modulation::PerLayer), (1, Modulation::PerLayer), (5, Modulation::Shared)];
    for (kernel, modulation) in kinds {
        let architecture = architecture(kernel, modulation);
        let (labels, edges) = masks(&architecture);
        let levels = Neighbourhoods::of_batch(&architecture, &labels, Some(&edges)).unwrap();
        let place =
            |on: &Backend, level: usize| Arc::new(on.place(levels[level].clone(), &architecture).unwrap());
        for (level, twice) in [(0, false), (2, false), (3, true)] {
            let Grid { height, width } = levels[level].grid;
            let half = 1 + usize::from(twice);
            let spans = [(Span::Batch, true), (Span::Image, true), (Span::Processes(Arc::new(Alone)), false)];
            for (span, activate) in spans {
                let inputs = [
                    numbers(&[2, height / half, width / half, 3], 5),
                    numbers(&[5, 5, kernel, kernel], 1),
                    numbers(&[5], 2),
                    numbers(&[6, 5, kernel, kernel], 3),
                    numbers(&[6], 4),
                ];
                let what = format!("modulate {kernel} {modulation:?} {span:?} at {height}x{width}");
                agree(&what, device, &inputs, |on, x| {
                    let masks = place(on, level);
                    let hidden = on.hidden(&x[1], &x[2], &masks, 4)?;
                    let rows = on.table(&hidden, &x[3], &x[4], &masks)?;
                    let moments = Arc::new(on.moments(&x[0], span.clone())?);
                    on.modulate(&x[0], &rows, &masks, &moments, activate)
                });
            }
        }
    }
}

fn frozen(device: &Backend) {
    let there = |x: Tensor| x.to_dtype(DType::F32).unwrap().to_device(device.device()).unwrap();
    let (x, w) = (there(numbers(&[1, 4, 4, 2], 1)), there(numbers(&[3, 2, 3, 3], 2)));
    let var = Var::from_tensor(&x).unwrap();
    let conv = |x: &Tensor, w: &Tensor| device.conv2d(x, w, None, Conv::same(3)).unwrap().sum_all().unwrap();
    let gradients = conv(&var, &w).backward().unwrap();
    assert!(gradients.get(&w).is_none() && gradients.get(&var).is_some());
    let var = Var::from_tensor(&w).unwrap();
    let gradients = conv(&x, &var).backward().unwrap();
    assert!(gradients.get(&x).is_none() && gradients.get(&var).is_some());
}

#[test]
fn a_device_s_convs_are_those_of_a_cpu() {
    convs(&emulated());
}

#[test]
fn what_a_device_does_to_maps_is_what_a_cpu_does() {
    maps(&emulated());
}

#[test]
fn a_device_normalises_as_a_cpu_does() {
    normalisation(&emulated());
    spectral_norm(&emulated());
}

#[test]
fn a_device_modulates_through_tables_as_a_cpu_does() {
    modulation(&emulated());
}

#[test]
fn a_device_computes_no_gradient_for_what_has_none() {
    frozen(&emulated());
}

#[test]
fn statistics_on_a_device_count_every_process() {
    #[derive(Debug)]
    struct Twice;
    impl super::super::Collective for Twice {
        fn processes(&self) -> usize {
            2
        }

        fn sum(&self, _: &mut [f64]) -> Result<()> {
            Ok(())
        }

        fn sum_tensor(&self, tensor: &Tensor) -> Result<Tensor> {
            tensor * 2.0
        }
    }
    let x = numbers(&[2, 3, 4, 5], 1).to_dtype(DType::F32).unwrap();
    let of = |span| emulated().moments(&x, span).unwrap();
    let (alone, both): (Moments, Moments) = (of(Span::Batch), of(Span::Processes(Arc::new(Twice))));
    assert_eq!(both.count, 2.0 * alone.count);
    let difference = (both.statistics().unwrap() - alone.statistics().unwrap()).unwrap();
    assert!(norm(&difference) < 1e-6);
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a CUDA device"]
fn every_operation_of_a_cuda_device_is_a_cpu_s() {
    let device = cuda();
    for check in [convs, maps, normalisation, spectral_norm, modulation, frozen] {
        check(&device);
    }
}
