//! Every operation's gradient beside finite differences, and what else each promises.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use spadework_model::{Grid, Modulation};

use super::{
    testing::{Alone, architecture, check, masks, numbers, weighted},
    *,
};

#[test]
fn every_form_of_conv_has_the_gradients_of_finite_differences() {
    for (kernel, stride, padding) in
        [(1, 1, 0), (3, 1, 1), (5, 1, 2), (3, 2, 1), (4, 2, 2), (4, 1, 2), (3, 1, 0), (2, 3, 1)]
    {
        for ([n, h, w, input], output) in
            [([2, 6, 6, 3], 5), ([1, 7, 4, 9], 17), ([1, 5, 9, 18], 34), ([2, 4, 4, 1], 1)]
        {
            for slope in [1.0, 0.2] {
                let conv = Conv { padding, stride, slope };
                let inputs = [
                    numbers(&[n, h, w, input], 1),
                    numbers(&[output, input, kernel, kernel], 2),
                    numbers(&[output], 3),
                ];
                let name = format!("{h}x{w}x{input} to {output} by {kernel}, {conv:?}");
                check(&name, &inputs, |x| conv2d(&x[0], &x[1], Some(&x[2]), conv));
                check(&name, &inputs[..2], |x| conv2d(&x[0], &x[1], None, conv));
            }
        }
    }
}

#[test]
fn a_conv_is_candle_s_conv() -> Result<()> {
    for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (4, 2, 2)] {
        let (x, weight) = (numbers(&[2, 7, 9, 5], 1), numbers(&[6, 5, kernel, kernel], 2));
        let ours = conv2d(&x, &weight, None, Conv { padding, stride, slope: 1.0 })?;
        let theirs = x.permute((0, 3, 1, 2))?.contiguous()?.conv2d(&weight, padding, stride, 1, 1)?;
        let difference = (ours.permute((0, 3, 1, 2))? - theirs)?.abs()?.flatten_all()?.max(0)?;
        assert!(difference.to_scalar::<f64>()? < 1e-12);
    }
    Ok(())
}

#[test]
fn a_large_conv_in_f32_is_the_conv_in_f64() -> Result<()> {
    // Large enough for several tasks, panels, parts and groups of rows.
    for (shape, output, kernel, stride) in
        [([2, 40, 66, 40], 70, 3, 1), ([1, 130, 130, 17], 32, 4, 2), ([1, 1, 3000, 24], 48, 1, 1)]
    {
        let conv = Conv { padding: kernel / 2, stride, slope: 0.2 };
        let run = |dtype| -> Result<Vec<Tensor>> {
            let x = Var::from_tensor(&numbers(&shape, 4).to_dtype(dtype)?)?;
            let w = Var::from_tensor(&numbers(&[output, shape[3], kernel, kernel], 5).to_dtype(dtype)?)?;
            let y = conv2d(&x, &w, None, conv)?;
            let gradients = weighted(&y)?.backward()?;
            [Some(&y), gradients.get(&x), gradients.get(&w)]
                .into_iter()
                .map(|tensor| tensor.unwrap().to_dtype(DType::F64))
                .collect()
        };
        for (single, double) in run(DType::F32)?.iter().zip(run(DType::F64)?) {
            let norm = |x: &Tensor| x.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>();
            assert!(norm(&(single - &double)?)? < 3e-6 * norm(&double)?);
        }
    }
    Ok(())
}

#[test]
fn a_frozen_weight_and_a_constant_input_get_no_gradient() -> Result<()> {
    let (x, w) = (numbers(&[1, 4, 4, 2], 1), numbers(&[3, 2, 3, 3], 2));
    let var = Var::from_tensor(&x)?;
    let gradients = conv2d(&var, &w, None, Conv::same(3))?.sum_all()?.backward()?;
    assert!(gradients.get(&w).is_none() && gradients.get(&var).is_some());
    let var = Var::from_tensor(&w)?;
    let gradients = conv2d(&x, &var, None, Conv::same(3))?.sum_all()?.backward()?;
    assert!(gradients.get(&x).is_none() && gradients.get(&var).is_some());
    Ok(())
}

#[test]
fn pooling_up_sampling_and_activation_have_the_gradients_of_finite_differences() {
    for shape in [[2, 6, 4, 3], [1, 5, 7, 2], [1, 1, 2, 1]] {
        check("average pool", &[numbers(&shape, 1)], |x| average_pool(&x[0]));
        check("leaky ReLU", &[numbers(&shape, 1)], |x| leaky_relu(&x[0]));
        check("up-sampling", &[numbers(&shape, 1)], |x| upsample_twice(&x[0]));
        check("up-sampling beside another use", &[numbers(&shape, 1)], |x| {
            upsample_twice(&x[0])?.broadcast_mul(&x[0].sqr()?.sum_all()?)
        });
    }
}

#[test]
fn max_pooling_has_the_gradients_of_finite_differences() {
    for shape in [[2, 6, 4, 3], [1, 5, 7, 2], [1, 2, 3, 1]] {
        check("max pool", &[numbers(&shape, 1)], |x| max_pool(&x[0]));
    }
    assert!(max_pool(&numbers(&[1, 1, 2, 1], 1)).unwrap_err().to_string().contains("1x2"));
}

#[test]
fn pooling_divides_by_the_cells_that_are_there() -> Result<()> {
    let ones = Tensor::ones((1, 5, 4, 1), DType::F64, &Device::Cpu)?;
    let pooled = average_pool(&ones)?;
    assert_eq!(pooled.dims(), [1, 3, 2, 1]);
    assert!(pooled.flatten_all()?.to_vec1::<f64>()?.iter().all(|x| (x - 1.0).abs() < 1e-12));
    Ok(())
}

#[test]
fn noise_has_the_gradients_of_finite_differences() {
    // The last has more cells than one task handles.
    for [n, h, w, c] in [[2, 5, 3, 4], [1, 1, 1, 1], [1, 40, 30, 2]] {
        let noise = numbers(&[n, 1, h, w], 3);
        check(&format!("noise on {h}x{w}x{c}"), &[numbers(&[n, h, w, c], 1), numbers(&[c], 2)], |x| {
            add_noise(&x[0], &x[1], &noise)
        });
    }
}

#[test]
fn a_distance_has_the_gradients_of_finite_differences() {
    // The last has more values than one task handles.
    for shape in [vec![2, 3, 5, 2], vec![1], vec![9, 500]] {
        let constant = numbers(&shape, 2);
        // The sum rather than the mean: its derivatives do not become small.
        check(&format!("distance of {shape:?}"), &[numbers(&shape, 1)], |x| {
            mean_distance(&x[0], &constant.to_dtype(x[0].dtype())?)? * constant.elem_count() as f64
        });
    }
}

#[test]
fn normalisation_has_the_gradients_of_finite_differences() {
    for span in [Span::Image, Span::Batch, Span::Processes(Arc::new(Alone))] {
        for activate in [false, true] {
            check(&format!("normalize over {span:?}"), &[numbers(&[3, 4, 5, 6], 1)], |x| {
                normalize(&x[0], Arc::new(Moments::of(&x[0], span.clone())?), activate)
            });
        }
    }
    let fixed = Arc::new(Moments::fixed(vec![0.1, -0.2], vec![0.5, 2.0]));
    check("normalize by constants", &[numbers(&[2, 3, 3, 2], 1)], |x| normalize(&x[0], fixed.clone(), true));
}

#[test]
fn a_large_mean_costs_the_variance_no_digits() -> Result<()> {
    let x = (numbers(&[2, 40, 40, 3], 1) + 100.0)?;
    let (exact, single) =
        (Moments::of(&x, Span::Batch)?, Moments::of(&x.to_dtype(DType::F32)?, Span::Batch)?);
    for (a, b) in exact.variance.iter().zip(&single.variance) {
        assert!((a - b).abs() < 1e-4 * a, "{a} {b}");
    }
    Ok(())
}

#[test]
fn spectral_normalisation_has_the_gradients_of_finite_differences() -> Result<()> {
    for shape in [vec![5, 3, 3, 3], vec![4, 7, 1, 1], vec![1, 2, 4, 4]] {
        let weight = numbers(&shape, 1);
        let rest: usize = shape[1..].iter().product();
        let (u, v) = (numbers(&[shape[0]], 2), numbers(&[rest], 3));
        check("spectral norm", std::slice::from_ref(&weight), |x| spectral_weight(&x[0], &u, &v));
        let (mut u, mut v) = (u, v);
        for _ in 0..60 {
            (u, v) = power_iteration(&weight, &u)?;
        }
        let matrix = spectral_weight(&weight, &u, &v)?.reshape((shape[0], rest))?;
        let image = matrix.matmul(&v.reshape((rest, 1))?)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        assert!((image - 1.0).abs() < 1e-3, "the largest singular value is {}", image.sqrt());
    }
    Ok(())
}

#[test]
fn a_table_looked_up_is_both_convs_of_the_one_hot_map() -> Result<()> {
    for (kernel, modulation) in [
        (1, Modulation::PerLayer),
        (3, Modulation::PerLayer),
        (5, Modulation::PerLayer),
        (3, Modulation::Shared),
    ] {
        let architecture = architecture(kernel, modulation);
        let (labels, edges) = masks(&architecture);
        let (w1, b1) = (numbers(&[5, 5, kernel, kernel], 1), numbers(&[5], 2));
        let (w2, b2) = (numbers(&[6, 5, kernel, kernel], 3), numbers(&[6], 4));
        let ids: Vec<u8> = labels.flatten_all()?.to_vec1()?;
        let on_edge: Vec<u8> = edges.flatten_all()?.to_vec1()?;
        let batch = spadework_model::LabelBatch { ids: &ids, edges: Some(&on_edge) };
        let planes = spadework_model::one_hot(&architecture, batch, DType::F64, &Device::Cpu)?;
        let predict = |planes: &Tensor| -> Result<Tensor> {
            let add = |x: Tensor, b: &Tensor| x.broadcast_add(&b.reshape((1, b.elem_count(), 1, 1))?);
            let hidden = add(planes.conv2d(&w1, kernel / 2, 1, 1, 1)?, &b1)?.relu()?;
            add(hidden.conv2d(&w2, kernel / 2, 1, 1, 1)?, &b2)
        };
        for neighbourhoods in Neighbourhoods::of_batch(&architecture, &labels, Some(&edges))? {
            let Grid { height, width } = neighbourhoods.grid;
            let dense = match modulation {
                Modulation::PerLayer => predict(&spadework_model::resize_nearest(&planes, height, width)?)?,
                Modulation::Shared => spadework_model::resize_nearest(&predict(&planes)?, height, width)?,
            };
            let neighbourhoods = Arc::new(neighbourhoods);
            let rows = table(&hidden(&w1, &b1, &neighbourhoods, 4)?, &w2, &b2, &neighbourhoods)?;
            let ids = Tensor::new(neighbourhoods.ids.as_slice(), &Device::Cpu)?;
            let looked_up =
                rows.index_select(&ids, 0)?.reshape((2, height, width, 6))?.permute((0, 3, 1, 2))?;
            let difference = (looked_up - dense)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
            assert!(difference < 1e-12, "{kernel} {modulation:?} at {height}x{width}: {difference}");
        }
    }
    Ok(())
}

#[test]
fn modulation_through_tables_has_the_gradients_of_finite_differences() -> Result<()> {
    for (kernel, modulation) in
        [(3, Modulation::PerLayer), (1, Modulation::PerLayer), (5, Modulation::Shared)]
    {
        let architecture = architecture(kernel, modulation);
        let (labels, edges) = masks(&architecture);
        let levels = Neighbourhoods::of_batch(&architecture, &labels, Some(&edges))?;
        for (level, twice) in [(0, false), (2, false), (3, true)] {
            let neighbourhoods = Arc::new(levels[level].clone());
            let Grid { height, width } = neighbourhoods.grid;
            let half = 1 + usize::from(twice);
            for (span, activate) in
                [(Span::Batch, true), (Span::Image, true), (Span::Processes(Arc::new(Alone)), false)]
            {
                let inputs = [
                    numbers(&[2, height / half, width / half, 3], 5),
                    numbers(&[5, 5, kernel, kernel], 1),
                    numbers(&[5], 2),
                    numbers(&[6, 5, kernel, kernel], 3),
                    numbers(&[6], 4),
                ];
                check(&format!("modulate {kernel} {modulation:?} {span:?} twice: {twice}"), &inputs, |x| {
                    let rows =
                        table(&hidden(&x[1], &x[2], &neighbourhoods, 4)?, &x[3], &x[4], &neighbourhoods)?;
                    let moments = Arc::new(Moments::of(&x[0], span.clone())?);
                    modulate(&x[0], &rows, &neighbourhoods, &moments, activate)
                });
            }
        }
    }
    Ok(())
}
