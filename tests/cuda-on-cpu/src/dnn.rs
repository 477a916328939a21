//! cuDNN, as much of it as is called: convs and their gradients, through its older interface.
//!
//! The `unsafe` is sound where callers keep cuDNN's contract: addresses are of memory that is there when the stream comes to
//! them, handles and descriptors are those given out.

#![allow(non_snake_case, reason = "names are cuDNN's")]
#![allow(clippy::missing_safety_doc, reason = "callers keep cuDNN's contract")]

mod conv;

use std::{
    ffi::{c_int, c_void},
    ptr,
};

use crate::{
    driver::{give, usable},
    numbers::{Type, factor, use_workspace},
};
use conv::{At, BAD_PARAM, Conv, Four, SUCCESS, Three};

const NOT_SUPPORTED: c_int = 3000;
const EXECUTION_FAILED: c_int = 5000;

const LAST: c_int = 1; // CUDNN_TENSOR_NHWC
const FUSING: c_int = 1; // CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM

/// Working memory that a call asks for by what it computes, so that who gives none, lets it go or asks for another shows.
fn workspace(computed: &Four) -> usize {
    1024 + computed.size.iter().product::<usize>()
}

struct Handle {
    stream: *mut c_void,
}

fn give_out<T>(place: *mut *mut c_void, value: T) -> c_int {
    unsafe { *place = Box::into_raw(Box::new(value)).cast() };
    SUCCESS
}

fn take_back<T>(place: *mut c_void) -> c_int {
    drop(unsafe { Box::from_raw(place.cast::<T>()) });
    SUCCESS
}

unsafe fn get<T: Copy>(place: *mut c_void) -> T {
    unsafe { *place.cast::<T>() }
}

#[unsafe(no_mangle)]
pub extern "C" fn cudnnGetVersion() -> usize {
    91_900
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnCreate(handle: *mut *mut c_void) -> c_int {
    give_out(handle, Handle { stream: ptr::null_mut() })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnDestroy(handle: *mut c_void) -> c_int {
    take_back::<Handle>(handle)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetStream(handle: *mut c_void, stream: *mut c_void) -> c_int {
    unsafe { (*handle.cast::<Handle>()).stream = stream };
    SUCCESS
}

macro_rules! descriptor {
    ($create:ident, $destroy:ident, $type:ty) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(place: *mut *mut c_void) -> c_int {
            give_out(place, <$type>::default())
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $destroy(place: *mut c_void) -> c_int {
            take_back::<$type>(place)
        }
    };
}

descriptor!(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor, Four);
descriptor!(cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor, Four);
descriptor!(cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor, Conv);
descriptor!(cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor, c_int);

fn set_four(place: *mut c_void, format: c_int, kind: c_int, size: [c_int; 4]) -> c_int {
    if size.iter().any(|&n| n <= 0) || Type::of_cudnn(kind).is_none() {
        return BAD_PARAM;
    }
    let four = Four { kind, last: format == LAST, size: size.map(|n| n as usize) };
    unsafe { *place.cast() = four };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetTensor4dDescriptor(
    place: *mut c_void,
    format: c_int,
    kind: c_int,
    n: c_int,
    c: c_int,
    h: c_int,
    w: c_int,
) -> c_int {
    set_four(place, format, kind, [n, c, h, w])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetFilter4dDescriptor(
    place: *mut c_void,
    kind: c_int,
    format: c_int,
    k: c_int,
    c: c_int,
    h: c_int,
    w: c_int,
) -> c_int {
    set_four(place, format, kind, [k, c, h, w])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetConvolution2dDescriptor(
    place: *mut c_void,
    pad_h: c_int,
    pad_w: c_int,
    stride_h: c_int,
    stride_w: c_int,
    dilation_h: c_int,
    dilation_w: c_int,
    cross_correlation: c_int,
    _: c_int,
) -> c_int {
    if cross_correlation != 1 {
        return NOT_SUPPORTED;
    }
    let two = |a: c_int, b: c_int| [a as usize, b as usize];
    let (pad, stride, dilation) = (two(pad_h, pad_w), two(stride_h, stride_w), two(dilation_h, dilation_w));
    unsafe { *place.cast() = Conv { pad, stride, dilation, math: 0 } };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetConvolutionMathType(place: *mut c_void, math: c_int) -> c_int {
    unsafe { (*place.cast::<Conv>()).math = math };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetConvolutionGroupCount(_: *mut c_void, count: c_int) -> c_int {
    if count == 1 { SUCCESS } else { NOT_SUPPORTED }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnSetActivationDescriptor(
    place: *mut c_void,
    mode: c_int,
    _: c_int,
    _: f64,
) -> c_int {
    unsafe { *place.cast() = mode };
    SUCCESS
}

#[repr(C)]
pub struct Performance {
    algorithm: c_int,
    status: c_int,
    time: f32,
    memory: usize,
    deterministic: c_int,
    math: c_int,
    reserved: [c_int; 3],
}

macro_rules! algorithms {
    ($most:ident, $pick:ident, $workspace:ident) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $most(_: *mut c_void, count: *mut c_int) -> c_int {
            unsafe { *count = 1 };
            SUCCESS
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $pick(
            _: *mut c_void,
            _: *mut c_void,
            _: *mut c_void,
            _: *mut c_void,
            computed: *mut c_void,
            _: c_int,
            count: *mut c_int,
            results: *mut Performance,
        ) -> c_int {
            let found = Performance {
                algorithm: 0,
                status: SUCCESS,
                time: 0.0,
                memory: workspace(&unsafe { get(computed) }),
                deterministic: 1,
                math: 0,
                reserved: [0; 3],
            };
            unsafe { (*results, *count) = (found, 1) }; // one algorithm, which every conv has
            SUCCESS
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $workspace(
            _: *mut c_void,
            _: *mut c_void,
            _: *mut c_void,
            _: *mut c_void,
            computed: *mut c_void,
            _: c_int,
            bytes: *mut usize,
        ) -> c_int {
            unsafe { *bytes = workspace(&get(computed)) };
            SUCCESS
        }
    };
}

algorithms!(
    cudnnGetConvolutionForwardAlgorithmMaxCount,
    cudnnGetConvolutionForwardAlgorithm_v7,
    cudnnGetConvolutionForwardWorkspaceSize
);
algorithms!(
    cudnnGetConvolutionBackwardDataAlgorithmMaxCount,
    cudnnGetConvolutionBackwardDataAlgorithm_v7,
    cudnnGetConvolutionBackwardDataWorkspaceSize
);
algorithms!(
    cudnnGetConvolutionBackwardFilterAlgorithmMaxCount,
    cudnnGetConvolutionBackwardFilterAlgorithm_v7,
    cudnnGetConvolutionBackwardFilterWorkspaceSize
);

unsafe fn run(
    handle: *mut c_void,
    name: &'static str,
    three: Three,
    computed: Four,
    [address, given]: [usize; 2],
    work: impl Fn(&Three) + Send + Sync + 'static,
) -> c_int {
    match three.check() {
        SUCCESS => {}
        status => return status,
    }
    let bytes = workspace(&computed);
    if given < bytes || address == 0 {
        return BAD_PARAM;
    }
    let stream = unsafe { usable((*handle.cast::<Handle>()).stream) };
    let Some(stream) = stream else { return EXECUTION_FAILED };
    give(&stream, name, move || {
        unsafe { use_workspace(address, bytes) };
        work(&three);
    });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnConvolutionForward(
    handle: *mut c_void,
    alpha: *const c_void,
    x: *mut c_void,
    x_at: usize,
    w: *mut c_void,
    w_at: usize,
    conv: *mut c_void,
    _: c_int,
    workspace: usize,
    bytes: usize,
    beta: *const c_void,
    y: *mut c_void,
    y_at: usize,
) -> c_int {
    let three =
        unsafe { Three { x: At::new(x, x_at), w: At::new(w, w_at), y: At::new(y, y_at), conv: get(conv) } };
    let (alpha, beta) = unsafe { (factor(alpha, three.x.kind()), factor(beta, three.x.kind())) };
    let work = move |three: &Three| unsafe {
        three.forward(alpha, Some((three.y, beta)).filter(|_| beta != 0.0), None)
    };
    unsafe { run(handle, "cudnnConvolutionForward", three, three.y.four, [workspace, bytes], work) }
}

/// `CUDA_ON_CPU_NO_FUSION` says that there is no such conv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnConvolutionBiasActivationForward(
    handle: *mut c_void,
    alpha: *const c_void,
    x: *mut c_void,
    x_at: usize,
    w: *mut c_void,
    w_at: usize,
    conv: *mut c_void,
    algorithm: c_int,
    workspace: usize,
    bytes: usize,
    beta: *const c_void,
    z: *mut c_void,
    z_at: usize,
    bias: *mut c_void,
    bias_at: usize,
    activation: *mut c_void,
    y: *mut c_void,
    y_at: usize,
) -> c_int {
    const IDENTITY: c_int = 5;
    let three =
        unsafe { Three { x: At::new(x, x_at), w: At::new(w, w_at), y: At::new(y, y_at), conv: get(conv) } };
    let (z, bias) = unsafe { (At::new(z, z_at), At::new(bias, bias_at)) };
    let mode: c_int = unsafe { get(activation) };
    if mode != IDENTITY || algorithm != FUSING || std::env::var_os("CUDA_ON_CPU_NO_FUSION").is_some() {
        return NOT_SUPPORTED;
    }
    if z.four != three.y.four || bias.four.size != [1, three.y.four.size[1], 1, 1] {
        return BAD_PARAM;
    }
    let (alpha, beta) = unsafe { (factor(alpha, three.x.kind()), factor(beta, three.x.kind())) };
    let onto = (beta != 0.0).then_some((z, beta));
    let work = move |three: &Three| unsafe { three.forward(alpha, onto, Some(bias)) };
    unsafe {
        run(handle, "cudnnConvolutionBiasActivationForward", three, three.y.four, [workspace, bytes], work)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnConvolutionBackwardData(
    handle: *mut c_void,
    _: *const c_void,
    w: *mut c_void,
    w_at: usize,
    dy: *mut c_void,
    dy_at: usize,
    conv: *mut c_void,
    _: c_int,
    workspace: usize,
    bytes: usize,
    _: *const c_void,
    dx: *mut c_void,
    dx_at: usize,
) -> c_int {
    let three = unsafe {
        Three { x: At::new(dx, dx_at), w: At::new(w, w_at), y: At::new(dy, dy_at), conv: get(conv) }
    };
    let work = |three: &Three| unsafe { three.gradient_of_input() };
    unsafe { run(handle, "cudnnConvolutionBackwardData", three, three.x.four, [workspace, bytes], work) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnConvolutionBackwardFilter(
    handle: *mut c_void,
    _: *const c_void,
    x: *mut c_void,
    x_at: usize,
    dy: *mut c_void,
    dy_at: usize,
    conv: *mut c_void,
    _: c_int,
    workspace: usize,
    bytes: usize,
    _: *const c_void,
    dw: *mut c_void,
    dw_at: usize,
) -> c_int {
    let three = unsafe {
        Three { x: At::new(x, x_at), w: At::new(dw, dw_at), y: At::new(dy, dy_at), conv: get(conv) }
    };
    let work = |three: &Three| unsafe { three.gradient_of_weight() };
    unsafe { run(handle, "cudnnConvolutionBackwardFilter", three, three.w.four, [workspace, bytes], work) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    #[test]
    fn a_conv_asks_for_working_memory_by_what_it_computes_and_writes_over_it() {
        let stream = Stream::start();
        let mut handle = Handle { stream: (&raw const stream).cast_mut().cast() };
        let handle = (&raw mut handle).cast::<c_void>();
        let four = |size| Four { kind: 0, last: false, size };
        let (mut x, mut w, mut y) = (four([1, 1, 4, 5]), four([1; 4]), four([1, 1, 4, 5]));
        let mut conv = Conv { pad: [0; 2], stride: [1; 2], dilation: [1; 2], math: 0 };
        let [x, w, y] = [&raw mut x, &raw mut w, &raw mut y].map(|four| four.cast::<c_void>());
        let conv = (&raw mut conv).cast::<c_void>();
        let (numbers, mut result, mut working) = ([2.0f32; 20], [0.0f32; 20], [1u8; 1100]);
        let none = ptr::null_mut();
        let (mut bytes, mut found) = ([0; 3], unsafe { std::mem::zeroed::<Performance>() });
        unsafe {
            cudnnGetConvolutionForwardWorkspaceSize(none, x, w, conv, y, 0, &mut bytes[0]);
            cudnnGetConvolutionBackwardDataWorkspaceSize(none, w, y, conv, x, 0, &mut bytes[1]);
            cudnnGetConvolutionBackwardFilterWorkspaceSize(none, x, y, conv, w, 0, &mut bytes[2]);
            cudnnGetConvolutionForwardAlgorithm_v7(none, x, w, conv, y, 1, &mut 0, &mut found);
            assert_eq!((bytes, found.memory), ([1044, 1044, 1025], 1044));

            let (alpha, beta) = ((&raw const numbers[0]).cast(), (&raw const result[0]).cast());
            let (from, to) = (numbers.as_ptr() as usize, result.as_mut_ptr() as usize);
            let at = working.as_mut_ptr() as usize;
            let forward = |given| {
                let done =
                    cudnnConvolutionForward(handle, alpha, x, from, w, from, conv, 0, at, given, beta, y, to);
                stream.wait();
                done
            };
            assert_eq!(forward(1043), BAD_PARAM);
            assert_eq!((forward(1100), result), (SUCCESS, [8.0; 20]));
            assert!(working[..1044].iter().all(|&byte| byte == 0xee));
            assert_eq!(working[1044..], [1; 56]);

            assert!(stream.begin_capture());
            stream.capturing(|capture| capture.broken = true);
            assert_eq!(forward(1100), EXECUTION_FAILED);
        }
        stream.end_capture();
        stream.end();
    }
}
