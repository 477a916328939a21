//! cuRAND's generators can be made; nothing here draws from one.
//!
//! The `unsafe` is sound where callers keep cuRAND's contract: a place to write to is their own.

#![allow(non_snake_case, reason = "names are cuRAND's")]
#![allow(clippy::missing_safety_doc, reason = "callers keep cuRAND's contract")]

use std::ffi::{c_int, c_ulonglong, c_void};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn curandCreateGenerator(generator: *mut usize, _: c_int) -> c_int {
    unsafe { *generator = 1 };
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetPseudoRandomGeneratorSeed(_: usize, _: c_ulonglong) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetStream(_: usize, _: *mut c_void) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn curandDestroyGenerator(_: usize) -> c_int {
    0
}
