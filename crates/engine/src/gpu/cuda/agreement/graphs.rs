//! Networks that run as CUDA graphs against the same networks without, byte by byte.

use candle_core::bail;

use super::*;
use crate::testing::fixtures::noisy;

/// A network that runs as graphs, and what was said of that when it was loaded.
fn with_graphs(
    architecture: &Architecture,
    tensors: &Tensors,
    precision: Precision,
) -> (GpuGenerator, Vec<String>) {
    network(architecture, tensors, &open(0).unwrap(), precision, true).unwrap()
}

/// The one that is wide enough for tensor cores, without and with graphs.
fn wide(seed: u64, precision: Precision) -> (Architecture, GpuGenerator, GpuGenerator) {
    let (_, architecture) = networks().pop().unwrap();
    let tensors = weights(&architecture, seed);
    let (graphs, warnings) = with_graphs(&architecture, &tensors, precision);
    assert_eq!(warnings, [""; 0]);
    let plain = on_device(&architecture, &tensors, precision);
    (architecture, plain, graphs)
}

/// Fails unless both make the same bytes.
fn compare(what: &str, plain: &GpuGenerator, graphs: &GpuGenerator, inputs: &[Input]) {
    let (expected, found) = (plain.generate(inputs).unwrap(), graphs.generate(inputs).unwrap());
    for (place, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let differing = expected.iter().zip(found).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "{what}: bytes that differ in image {place} of {}", inputs.len());
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn graphs_make_the_bytes_of_plain_runs() {
    let sizes: [u64; 16] = [1, 1, 1, 3, 1, 3, 3, 8, 1, 8, 2, 8, 2, 3, 2, 1];
    for (index, (name, architecture)) in networks().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        for precision in [Precision::Highest, Precision::High, Precision::Medium] {
            let plain = on_device(&architecture, &tensors, precision);
            let (graphs, warnings) = with_graphs(&architecture, &tensors, precision);
            for (turn, size) in sizes.into_iter().enumerate() {
                // Other masks, styles and noise in every batch; at times the same again.
                let batch: Vec<Input> =
                    (0..size).map(|place| input(&architecture, turn as u64 % 5 * 10 + place)).collect();
                compare(&format!("{name}, {precision}, batch {turn}"), &plain, &graphs, &batch);
            }
            let captured = !name.contains("instance norm");
            assert_eq!(warnings.is_empty(), captured, "{name}: {warnings:?}");
            assert_eq!(graphs.drain_warnings(), [""; 0], "{name}, {precision}");
            assert_eq!(graphs.graphs(), if captured { 4 } else { 0 }, "{name}, {precision}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn graphs_of_grown_tables_make_the_same_bytes() {
    for precision in [Precision::Highest, Precision::Medium] {
        let (architecture, plain, graphs) = wide(1, precision);
        for turn in 0..12 {
            // Few rows at first, then more than there is room for, then few again.
            let make = if (4..8).contains(&turn) { noisy } else { input };
            let batch: Vec<Input> = (0..2).map(|place| make(&architecture, 2 * turn + place)).collect();
            compare(&format!("{precision}, batch {turn}"), &plain, &graphs, &batch);
        }
        assert_eq!((graphs.graphs(), graphs.drain_warnings()), (1, Vec::new()));
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn graphs_that_begin_while_another_batch_runs_make_the_same_bytes_and_take_turns() {
    let (architecture, plain, graphs) = wide(2, Precision::Medium);
    let (_, other_plain, other_graphs) = wide(3, Precision::Medium); // of the same architecture, on a stream of its own
    let networks = [graphs, other_graphs];
    let mut batches: Vec<Vec<Input>> = (1..=4).map(|size| inputs(&architecture, 2 * size)).collect();
    batches.push((0..2).map(|seed| noisy(&architecture, seed)).collect()); // makes tables grow in the middle
    let expected: Vec<Vec<Vec<Vec<u8>>>> = [plain, other_plain]
        .iter()
        .map(|network| batches.iter().map(|batch| network.generate(batch).unwrap()).collect())
        .collect();
    let turns = runs(300).max(60); // so that every size comes often enough to be captured
    take_turns(&networks, &batches, &expected, turns, |turn| turn % if turn < turns / 5 { 4 } else { 5 });
    for network in &networks {
        assert_eq!((network.graphs(), network.drain_warnings()), (4, Vec::new()));
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_hundred_launches_of_a_graph_make_the_same_bytes() {
    let (architecture, plain, graphs) = wide(4, Precision::Medium);
    let batch = inputs(&architecture, 4);
    let expected = plain.generate(&batch).unwrap();
    for run in 0..runs(100) {
        assert!(graphs.generate(&batch).unwrap() == expected, "run {run} differs");
    }
    for _ in 0..runs(50) {
        drop(graphs.begin(&batch, &Event::default()).unwrap());
        assert!(graphs.generate(&batch).unwrap() == expected, "after a batch that was dropped");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn graphs_on_two_threads_do_not_disturb_one_another() {
    let (architecture, plain, graphs) = wide(5, Precision::Medium);
    let (_, _, other) = wide(5, Precision::Medium);
    let batches = [inputs(&architecture, 4), inputs(&architecture, 2)];
    let expected = batches.each_ref().map(|batch| plain.generate(batch).unwrap());
    std::thread::scope(|scope| {
        for network in [graphs, other] {
            let (batches, expected) = (&batches, &expected);
            scope.spawn(move || {
                for turn in 0..runs(100) {
                    let which = turn / 3 % 2;
                    assert!(network.generate(&batches[which]).unwrap() == expected[which], "{turn}");
                }
                assert_eq!((network.graphs(), network.drain_warnings()), (2, Vec::new()));
            });
        }
        // Captures must not mind other threads that take memory and load models meanwhile.
        for seed in 6..10 {
            on_device(&architecture, &weights(&architecture, seed), Precision::Highest)
                .generate(&batches[1])
                .unwrap();
        }
    });
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_full_device_takes_graphs_away_and_no_image_changes() {
    let (architecture, plain, graphs) = wide(7, Precision::Highest);
    let batches: Vec<Vec<Input>> =
        [16, 5, 1].iter().map(|&size| (0..size).map(|seed| noisy(&architecture, seed)).collect()).collect();
    let expected: Vec<_> = batches.iter().map(|batch| plain.generate(batch).unwrap()).collect();
    drop(plain);
    let device = open(0).unwrap();
    let mut filling = Vec::new();
    for size in [1usize << 30, 1 << 24, 1 << 22] {
        while let Ok(memory) = device.alloc_zeros::<u8>(size) {
            filling.push(memory);
        }
    }
    let mut made = 0;
    // A little more room in every turn, from none for anything to enough for all.
    while !filling.is_empty() {
        for (batch, expected) in batches.iter().zip(&expected) {
            match graphs.generate(batch) {
                Ok(images) => {
                    assert!(images == *expected, "with {} blocks taken", filling.len());
                    made += 1;
                }
                Err(error) => assert!(error.is_out_of_memory() && !error.is_device_lost(), "{error:?}"),
            }
        }
        for warning in graphs.drain_warnings() {
            println!("{} blocks taken: {warning}", filling.len());
        }
        filling.truncate(filling.len().saturating_sub(4.max(filling.len() / 8)));
        device.cuda_stream().synchronize().unwrap();
    }
    println!("{made} batches were made meanwhile");
    for (batch, expected) in batches.iter().zip(&expected) {
        for _ in 0..3 {
            assert!(graphs.generate(batch).unwrap() == *expected);
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_capture_that_breaks_leaves_the_stream_as_it_was() {
    let device = open(0).unwrap();
    let operators = CudaOperators::new(&device, DType::F32, false).unwrap();
    let x = on(&device, 1, &[2, 8, 8, 8], DType::F32);
    let weight = on(&device, 2, &[8], DType::F32);
    let plane = on(&device, 3, &[2, 8, 8], DType::F32);
    let sum = |x: &Tensor| x.sum_all().unwrap().to_scalar::<f32>().unwrap();
    let before = sum(&x);
    let refused =
        |work: &mut dyn FnMut() -> candle_core::Result<()>| operators.capture(Vec::new(), work).is_err();
    let copy = || -> candle_core::Result<Tensor> {
        let out = operators.blank(&[2, 8, 8, 8], DType::F32)?;
        operators.add_noise(out, &plane, &weight)
    };

    assert!(refused(&mut || bail!("on purpose")), "an error");
    assert!(refused(&mut || copy().and_then(|_| bail!("on purpose"))), "an error after work");
    let mut wait = || {
        let _held = copy()?;
        device.cuda_stream().synchronize().map_err(|error| candle_core::Error::Cuda(Box::new(error)))
    };
    assert!(refused(&mut wait), "waiting for the device");
    assert!(refused(&mut || forbid_in_capture(&device, "this")), "what forbids itself");
    let panicking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        operators.capture(Vec::new(), &mut || panic!("on purpose")).map(drop)
    }));
    assert!(panicking.is_err());

    assert_eq!(sum(&x), before);
    let tensors = vec![x.clone(), plane.clone(), weight.clone()];
    let graph = operators
        .capture(tensors, &mut || operators.add_noise(x.clone(), &plane, &weight).map(drop))
        .unwrap();
    assert_eq!(sum(&x), before, "captured work has not begun");
    graph.launch().unwrap();
    graph.launch().unwrap();
    let added = plane.unsqueeze(3).unwrap().broadcast_mul(&weight).unwrap();
    let expected = f64::from(before) + 2.0 * f64::from(sum(&added));
    assert!((f64::from(sum(&x)) - expected).abs() < 1e-2, "{} instead of {expected}", sum(&x));
}
