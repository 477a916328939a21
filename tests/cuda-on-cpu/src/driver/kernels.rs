//! Modules and their kernels.
//!
//! The `unsafe` is sound where callers keep the driver's contract: handles are those given out.

use std::{
    ffi::{CStr, c_char, c_uint, c_void},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::*;
use crate::program::{self, Kernels};

/// A module, and one of its kernels.
type Module = Arc<Kernels>;
struct Function {
    module: Module,
    name: String,
}

/// Whether this is the launch that `CUDA_ON_CPU_BREAKS_AT` names by its number, from 1.
fn is_to_break() -> bool {
    static LAUNCHES: AtomicU64 = AtomicU64::new(0);
    static WHEN: OnceLock<Option<u64>> = OnceLock::new();
    let when = WHEN.get_or_init(|| std::env::var("CUDA_ON_CPU_BREAKS_AT").ok()?.parse().ok());
    Some(LAUNCHES.fetch_add(1, Ordering::Relaxed) + 1) == *when
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_void) -> Status {
    check!(ready());
    check!(outside_capture("cuModuleLoadData"));
    let text = unsafe { CStr::from_ptr(image.cast()) }.to_string_lossy();
    let kernels = program::load(&text);
    unsafe { *module = Box::into_raw(Box::new(kernels)).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleUnload(module: *mut c_void) -> Status {
    drop(unsafe { Box::from_raw(module.cast::<Module>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    module: *mut c_void,
    name: *const c_char,
) -> Status {
    check!(ready());
    let module = unsafe { &*module.cast::<Module>() };
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    if !module.contains_key(&name) {
        return NOT_FOUND;
    }
    // Never given back: a program has few of them.
    unsafe { *function = Box::into_raw(Box::new(Function { module: module.clone(), name })).cast() };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared: c_uint,
    stream: *mut c_void,
    parameters: *mut *mut c_void,
    _: *mut *mut c_void,
) -> Status {
    check!(ready());
    let stream = usable_stream!(stream);
    let function = unsafe { &*function.cast::<Function>() };
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    let threads: u64 = block.iter().map(|&n| u64::from(n)).product();
    let fits = grid_y <= 65535 && grid_z <= 65535 && (1..=1024).contains(&threads) && shared <= 48 << 10;
    if !fits || grid.contains(&0) {
        eprintln!("cuda-on-cpu: kernel {} with a grid of {grid:?} blocks of {block:?}", function.name);
        return INVALID_VALUE;
    }
    let kernel = &function.module[&function.name];
    let list = &kernel.entry.parameters;
    let mut bytes = vec![0u8; list.last().map_or(0, |last| last.offset + last.bytes)];
    for (index, parameter) in list.iter().enumerate() {
        // SAFETY: the caller has an address for each parameter.
        let from = unsafe {
            std::slice::from_raw_parts(*parameters.add(index).cast::<*const u8>(), parameter.bytes)
        };
        bytes[parameter.offset..][..parameter.bytes].copy_from_slice(from);
    }
    let (module, name) = (function.module.clone(), function.name.clone());
    let shown: &'static str = Box::leak(format!("kernel {name}").into_boxed_str());
    let breaks = is_to_break();
    give(&stream, shown, move || {
        if breaks {
            return stream::lose(LAUNCH_FAILED, &format!("kernel {name} breaks, as it was told to"));
        }
        if let Err(error) = module[&name].run(grid, block, shared, &bytes) {
            stream::lose(LAUNCH_FAILED, &error);
        }
    });
    SUCCESS
}
