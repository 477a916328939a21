//! What a program may rely on, and what is refused.

use std::{
    ffi::c_void,
    ptr,
    sync::{Arc, Barrier, Mutex},
};

use super::{device::*, events::*, graphs::*, kernels::*, memory::*, streams::*, *};
use crate::memory;

/// A number that is doubled.
const TWICE: &str = ".visible .entry twice(.param .u64 at)\n{ .reg .b64 %rd<3>; .reg .b32 %r<4>;
    ld.param.u64 %rd1, [at]; ld.global.u32 %r1, [%rd1]; add.u32 %r2, %r1, %r1; st.global.u32 [%rd1], %r2; ret; }\0";

struct Device {
    stream: *mut c_void,
    twice: *mut c_void,
    number: usize,
}

impl Device {
    fn open() -> Self {
        let (mut stream, mut module, mut twice, mut number) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        unsafe {
            assert_eq!(cuCtxSetCurrent(1), SUCCESS);
            assert_eq!(cuStreamCreate(&mut stream, 0), SUCCESS);
            assert_eq!(cuModuleLoadData(&mut module, TWICE.as_ptr().cast()), SUCCESS);
            assert_eq!(cuModuleGetFunction(&mut twice, module, c"twice".as_ptr()), SUCCESS);
            assert_eq!(cuMemAllocAsync(&mut number, 4, stream), SUCCESS);
        }
        Self { stream, twice, number }
    }

    fn set(&self, value: u32) {
        let from = &raw const value as usize;
        assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(self.number, from, 4, self.stream) }, SUCCESS);
    }

    fn twice(&self) {
        assert_eq!(self.launch(), SUCCESS);
    }

    fn launch(&self) -> Status {
        let mut at = self.number;
        let mut parameters = [(&raw mut at).cast::<c_void>()];
        let list = parameters.as_mut_ptr();
        unsafe { cuLaunchKernel(self.twice, 1, 1, 1, 1, 1, 1, 0, self.stream, list, ptr::null_mut()) }
    }

    fn get(&self) -> u32 {
        let mut value = 0u32;
        let to = &raw mut value as usize;
        assert_eq!(unsafe { cuMemcpyDtoHAsync_v2(to, self.number, 4, self.stream) }, SUCCESS);
        value
    }

    fn captured(&self, work: impl FnOnce()) -> Result<*mut c_void, Status> {
        let mut graph = ptr::null_mut();
        unsafe {
            assert_eq!(cuStreamBeginCapture_v2(self.stream, 1), SUCCESS);
            work();
            let ended = cuStreamEndCapture(self.stream, &mut graph);
            if ended == SUCCESS { Ok(graph) } else { Err(ended) }
        }
    }
}

#[test]
fn a_stream_does_its_work_in_order_and_takes_pageable_memory_along() {
    let device = Device::open();
    device.set(3);
    device.twice();
    device.twice();
    assert_eq!(device.get(), 12);
}

#[test]
fn page_locked_memory_is_read_when_the_stream_comes_to_it() {
    let device = Device::open();
    let (mut pinned, mut event) = (0, ptr::null_mut());
    unsafe {
        assert_eq!(cuMemHostAlloc(&mut pinned, 4, 0), SUCCESS);
        assert_eq!(cuEventCreate(&mut event, 0), SUCCESS);
        // The stream waits for another one, which has not come to the event yet.
        let (gate, other) = (Arc::new(Barrier::new(2)), Device::open());
        let waits = gate.clone();
        give(&stream_of(other.stream), "a gate", move || _ = waits.wait());
        assert_eq!(cuEventRecord(event, other.stream), SUCCESS);
        assert_eq!(cuStreamWaitEvent(device.stream, event, 0), SUCCESS);
        *(pinned as *mut u32) = 1;
        assert_eq!(cuMemcpyHtoDAsync_v2(device.number, pinned, 4, device.stream), SUCCESS);
        assert_eq!(cuEventQuery(event), NOT_READY);
        *(pinned as *mut u32) = 5; // too early: what a program must not do
        gate.wait();
        assert_eq!(device.get(), 5);
        assert_eq!(cuEventQuery(event), SUCCESS);
    }
}

#[test]
fn captured_work_is_done_at_every_launch_and_not_before() {
    let device = Device::open();
    device.set(1);
    let graph = device.captured(|| device.twice()).unwrap();
    assert_eq!(device.get(), 1);
    let mut executable = ptr::null_mut();
    unsafe {
        assert_eq!(cuGraphInstantiateWithFlags(&mut executable, graph, 0), SUCCESS);
        (0..3).for_each(|_| assert_eq!(cuGraphLaunch(executable, device.stream), SUCCESS));
    }
    assert_eq!(device.get(), 8);
}

#[test]
fn a_capture_refuses_what_waits_allocates_for_good_or_frees_what_is_older() {
    let device = Device::open();
    let waits =
        device.captured(|| assert_eq!(unsafe { cuStreamSynchronize(device.stream) }, CAPTURE_UNSUPPORTED));
    assert_eq!(waits, Err(CAPTURE_INVALIDATED));
    let frees = device
        .captured(|| assert_eq!(unsafe { cuMemFreeAsync(device.number, device.stream) }, INVALID_VALUE));
    assert_eq!(frees, Err(CAPTURE_INVALIDATED));
    let pageable = device.captured(|| {
        let value = 1u32;
        let from = &raw const value as usize;
        let copied = unsafe { cuMemcpyHtoDAsync_v2(device.number, from, 4, device.stream) };
        assert_eq!(copied, CAPTURE_UNSUPPORTED);
    });
    assert_eq!(pageable, Err(CAPTURE_INVALIDATED));
    let mut executable = ptr::null_mut();
    let leaks = device.captured(|| {
        let mut address = 0;
        assert_eq!(unsafe { cuMemAllocAsync(&mut address, 64, device.stream) }, SUCCESS);
    });
    unsafe {
        assert_eq!(cuGraphInstantiateWithFlags(&mut executable, leaks.unwrap(), 0), SUCCESS);
        assert_eq!(cuGraphLaunch(executable, device.stream), INVALID_VALUE);
    }
    device.set(2);
    assert_eq!(device.get(), 2, "the stream goes on");
}

/// Held by who needs most of the memory.
static MOST: Mutex<()> = Mutex::new(());

#[test]
fn memory_is_bounded_and_freed_in_the_order_of_its_stream() {
    let _most = MOST.lock().unwrap();
    let device = Device::open();
    let mut all = [0; 2];
    unsafe {
        let half = memory::total() / 3 * 2;
        assert_eq!(cuMemAllocAsync(&mut all[0], half, device.stream), SUCCESS);
        assert_eq!(cuMemAllocAsync(&mut all[1], half, device.stream), OUT_OF_MEMORY);
        assert_eq!(cuMemFreeAsync(all[0], device.stream), SUCCESS);
        assert_eq!(cuMemAllocAsync(&mut all[1], half, device.stream), SUCCESS, "once the free is done");
        assert_eq!(cuMemFreeAsync(all[1], device.stream), SUCCESS);
        assert_eq!(cuStreamSynchronize(device.stream), SUCCESS);
    }
    assert!(!memory::is_device(all[1]));
}

#[test]
fn a_thread_without_a_context_is_refused() {
    let refused = || unsafe { cuStreamCreate(&mut ptr::null_mut(), 0) };
    assert_eq!(std::thread::spawn(refused).join().unwrap(), INVALID_CONTEXT);
}

#[test]
fn a_graph_reads_nothing_of_what_it_has_freed() {
    let device = Device::open();
    let graph = device.captured(|| unsafe {
        let mut own = 0;
        assert_eq!(cuMemAllocAsync(&mut own, 4, device.stream), SUCCESS);
        assert_eq!(cuMemsetD8Async(own, 0, 4, device.stream), SUCCESS);
        assert_eq!(cuMemFreeAsync(own, device.stream), SUCCESS);
        assert_eq!(cuMemcpyDtoDAsync_v2(device.number, own, 4, device.stream), SUCCESS);
    });
    unsafe {
        let mut executable = ptr::null_mut();
        assert_eq!(cuGraphInstantiateWithFlags(&mut executable, graph.unwrap(), 0), SUCCESS);
        assert_eq!(cuGraphLaunch(executable, device.stream), SUCCESS);
    }
    assert_eq!(device.get(), u32::MAX);
}

#[test]
fn a_broken_capture_refuses_everything_until_it_ends() {
    let device = Device::open();
    device.set(1);
    let broken = device.captured(|| unsafe {
        let (stream, number) = (device.stream, device.number);
        assert_eq!(cuStreamSynchronize(stream), CAPTURE_UNSUPPORTED);
        assert_eq!(cuMemAllocAsync(&mut 0, 4, stream), CAPTURE_INVALIDATED);
        assert_eq!(cuMemFreeAsync(number, stream), CAPTURE_INVALIDATED);
        assert_eq!(cuMemsetD8Async(number, 0, 4, stream), CAPTURE_INVALIDATED);
        assert_eq!(cuMemcpyDtoDAsync_v2(number, number, 4, stream), CAPTURE_INVALIDATED);
        assert_eq!(cuStreamSynchronize(stream), CAPTURE_INVALIDATED);
        assert_eq!(device.launch(), CAPTURE_INVALIDATED);
    });
    assert_eq!(broken, Err(CAPTURE_INVALIDATED));
    device.twice();
    assert_eq!(device.get(), 2);
}

#[test]
fn a_graph_without_room_is_launched_once_there_is_some() {
    let _most = MOST.lock().unwrap();
    let device = Device::open();
    let half = memory::total() / 3 * 2;
    let graph = device.captured(|| unsafe {
        let mut own = 0;
        assert_eq!(cuMemAllocAsync(&mut own, half, device.stream), SUCCESS);
        assert_eq!(cuMemFreeAsync(own, device.stream), SUCCESS);
    });
    unsafe {
        let (mut other, mut executable) = (0, ptr::null_mut());
        assert_eq!(cuGraphInstantiateWithFlags(&mut executable, graph.unwrap(), 0), SUCCESS);
        assert_eq!(cuMemAllocAsync(&mut other, half, device.stream), SUCCESS);
        assert_eq!(cuGraphLaunch(executable, device.stream), OUT_OF_MEMORY);
        assert_eq!(cuMemFreeAsync(other, device.stream), SUCCESS);
        assert_eq!(cuStreamSynchronize(device.stream), SUCCESS);
        assert_eq!(cuGraphLaunch(executable, device.stream), SUCCESS);
        assert_eq!(cuStreamSynchronize(device.stream), SUCCESS);
        // The memory goes with the graph and what was made of it.
        assert_eq!(cuGraphExecDestroy(executable), SUCCESS);
        assert_eq!(cuGraphDestroy(graph.unwrap()), SUCCESS);
    }
}
