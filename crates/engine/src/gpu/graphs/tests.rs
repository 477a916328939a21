//! Networks that run as graphs against the same networks without.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use candle_core::{DType, Device};
use spadework_model::{Architecture, Tensors};

use super::recorder::{FakeDevice, Recorder};
use crate::{
    Input,
    gpu::{CandleOperators, GpuGenerator, Target},
    testing::fixtures::{architectures, input, noisy, small, weights},
};

fn plain(architecture: &Architecture, tensors: &Tensors, dtype: DType) -> GpuGenerator {
    let operators = CandleOperators { device: Device::Cpu };
    let target = Target { device: Device::Cpu, dtype };
    GpuGenerator::load(architecture, tensors, target, Box::new(operators)).unwrap()
}

fn with_graphs(
    architecture: &Architecture,
    tensors: &Tensors,
    dtype: DType,
) -> (Result<GpuGenerator, &'static str>, Arc<FakeDevice>) {
    let operators = Recorder::default();
    let device = operators.device.clone();
    let target = Target { device: Device::Cpu, dtype };
    let mut network = GpuGenerator::load(architecture, tensors, target, Box::new(operators)).unwrap();
    (network.use_graphs(architecture).map(|()| network), device)
}

/// A small network without graphs and one with, and its device.
fn small_ones() -> (GpuGenerator, GpuGenerator, Arc<FakeDevice>) {
    let tensors = weights(&small(), 1);
    let (graphs, device) = with_graphs(&small(), &tensors, DType::F32);
    (plain(&small(), &tensors, DType::F32), graphs.unwrap(), device)
}

/// `count` images, no two of them alike.
fn inputs(architecture: &Architecture, seed: u64, count: u64) -> Vec<Input> {
    (0..count).map(|index| input(architecture, 100 * seed + index)).collect()
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Relaxed)
}

#[test]
fn graphs_make_the_bytes_of_plain_runs_whatever_comes_before_them() {
    for (index, (name, architecture)) in architectures().into_iter().enumerate() {
        let tensors = weights(&architecture, index as u64);
        for dtype in [DType::F32, DType::BF16] {
            let (graphs, device) = with_graphs(&architecture, &tensors, dtype);
            let Ok(graphs) = graphs else {
                assert!(name.contains("instance norm"), "{name}");
                continue;
            };
            let plain = plain(&architecture, &tensors, dtype);
            // Each size three times and more, with other masks, between batches that need more and less.
            let mut sizes = vec![1, 1, 1, 2, 2, 2, 1, 2];
            if dtype == DType::F32 {
                sizes.extend([3, 3, 1, 3, 2, 1]);
            }
            for (turn, size) in sizes.iter().enumerate() {
                let mut inputs = inputs(&architecture, turn as u64, *size);
                if turn % 4 == 3 {
                    let first = inputs[0].clone();
                    inputs.fill(first); // one mask: few rows
                }
                let expected = plain.generate(&inputs).unwrap();
                assert!(graphs.generate(&inputs).unwrap() == expected, "{name}, {dtype:?}: batch {turn}");
            }
            assert!(count(&device.launches) >= sizes.len() - 3, "{name}");
            assert_eq!(graphs.drain_warnings(), [""; 0], "{name}");
        }
    }
}

#[test]
fn the_second_batch_of_a_size_is_captured_and_later_ones_only_launched() {
    let (_, graphs, device) = small_ones();
    let same = inputs(&small(), 1, 2);
    let mut seen = Vec::new();
    for _ in 0..4 {
        graphs.generate(&same).unwrap();
        seen.push((count(&device.captures), count(&device.launches)));
    }
    assert_eq!(seen, [(0, 0), (1, 1), (1, 2), (1, 3)]);
}

#[test]
fn tables_grow_for_a_mask_that_needs_more_rows_and_then_stay() {
    let (plain, graphs, device) = small_ones();
    let same = vec![input(&small(), 1); 2];
    let other = vec![noisy(&small(), 2), noisy(&small(), 3)];
    let mut captures = Vec::new();
    for batch in [&same, &same, &same, &other, &other, &same, &other] {
        assert!(graphs.generate(batch).unwrap() == plain.generate(batch).unwrap());
        captures.push(count(&device.captures));
    }
    assert_eq!(captures, [0, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn numbers_are_never_made_by_graphs() {
    let (plain, graphs, device) = small_ones();
    let inputs = inputs(&small(), 1, 1);
    for _ in 0..3 {
        assert!(graphs.generate_tensor(&inputs).unwrap() == plain.generate_tensor(&inputs).unwrap());
    }
    assert_eq!(count(&device.captures), 0);
}

#[test]
fn a_graph_whose_working_memory_has_moved_is_captured_again() {
    let (plain, graphs, device) = small_ones();
    let inputs = inputs(&small(), 1, 2);
    let expected = plain.generate(&inputs).unwrap();
    for moves in [0, 0, 1, 1, 2, 2] {
        device.moves.store(moves, Relaxed);
        assert!(graphs.generate(&inputs).unwrap() == expected);
    }
    assert_eq!(count(&device.captures), 3);
}

#[test]
fn a_size_that_cannot_be_captured_runs_plainly_and_is_told_once() {
    let (plain, graphs, device) = small_ones();
    device.failing.store(1, Relaxed);
    let two = inputs(&small(), 1, 2);
    let mut warnings = Vec::new();
    for _ in 0..4 {
        assert!(graphs.generate(&two).unwrap() == plain.generate(&two).unwrap());
        warnings.extend(graphs.drain_warnings());
    }
    assert_eq!(warnings, ["batches of 2 run without a CUDA graph: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"]);
    device.failing.store(0, Relaxed);
    for _ in 0..3 {
        graphs.generate(&two[..1]).unwrap();
    }
    assert_eq!((count(&device.captures), count(&device.launches)), (1, 2), "other sizes are not concerned");
}

#[test]
fn what_has_no_room_as_a_graph_is_made_without_and_smaller_batches_as_graphs() {
    let (plain, graphs, device) = small_ones();
    let image = small().picture();
    let bytes = 3 * image.height * image.width;
    device.capacity.store(3 * bytes, Relaxed); // three images have capacity, but not the four that memory is made for
    let three = inputs(&small(), 1, 3);
    let mut warnings = Vec::new();
    for size in [2, 2, 3, 3, 3, 2, 2] {
        let batch = &three[..size];
        assert!(graphs.generate(batch).unwrap() == plain.generate(batch).unwrap(), "{size}");
        warnings.extend(graphs.drain_warnings());
    }
    assert_eq!(
        warnings,
        [
            "no memory for CUDA graphs of batches of up to 4: only batches of up to 2 run as graphs from now on"
        ]
    );
    assert_eq!((count(&device.captures), count(&device.launches), count(&device.trims)), (2, 3, 1));
}

#[test]
fn a_batch_that_has_no_room_either_way_takes_no_graph_away() {
    let (plain, graphs, device) = small_ones();
    let (one, two) = (inputs(&small(), 1, 1), inputs(&small(), 2, 2));
    for _ in 0..2 {
        graphs.generate(&one).unwrap();
    }
    // Two have no room even after the graphs are gone.
    device.capacity.store(1, Relaxed);
    assert!(graphs.generate(&two).unwrap_err().is_out_of_memory());
    assert_eq!(count(&device.trims), 1);
    device.capacity.store(0, Relaxed);
    for batch in [&one, &two, &one, &two, &one] {
        assert!(graphs.generate(batch).unwrap() == plain.generate(batch).unwrap());
    }
    assert!(count(&device.captures) > 1, "sizes are captured again");
    assert_eq!(graphs.drain_warnings(), [""; 0]);
}

#[test]
fn a_network_that_goes_gives_back_what_its_graphs_had() {
    let (plain, graphs, device) = small_ones();
    drop(plain);
    assert_eq!(count(&device.trims), 0);
    drop(graphs);
    assert_eq!(count(&device.trims), 1);
}

#[test]
fn a_model_with_instance_norm_has_no_graphs_and_says_why() {
    for (name, architecture) in architectures() {
        let (graphs, _) = with_graphs(&architecture, &weights(&architecture, 1), DType::F32);
        assert_eq!(graphs.is_err(), name.contains("instance norm"), "{name}");
        if let Err(reason) = graphs {
            assert!(reason.contains("instance norm"), "{reason}");
        }
    }
}
