//! cuBLAS, as much of it as is called: products of matrices, which it counts by columns.
//!
//! The `unsafe` is sound where callers keep cuBLAS's contract: addresses are of memory that is there when the stream comes to
//! them, handles are those given out.

#![allow(non_snake_case, reason = "names are cuBLAS's")]
#![allow(clippy::missing_safety_doc, reason = "callers keep cuBLAS's contract")]

use std::{
    ffi::{c_int, c_void},
    ptr,
};

use crate::{
    driver::{give, usable},
    numbers::{Type, add_rows, factor, read, tf32, use_workspace, write},
};

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 7;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;
const FAST_TF32: c_int = 77;

struct Handle {
    stream: *mut c_void,
    /// Working memory that it was given: where, and how many bytes.
    workspace: (usize, usize),
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasCreate_v2(handle: *mut *mut c_void) -> c_int {
    unsafe {
        *handle = Box::into_raw(Box::new(Handle { stream: ptr::null_mut(), workspace: (0, 0) })).cast()
    };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasDestroy_v2(handle: *mut c_void) -> c_int {
    drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasSetStream_v2(handle: *mut c_void, stream: *mut c_void) -> c_int {
    // With another stream it goes back to memory of its own.
    unsafe { *handle.cast() = Handle { stream, workspace: (0, 0) } };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasSetWorkspace_v2(handle: *mut c_void, first: usize, bytes: usize) -> c_int {
    unsafe { (*handle.cast::<Handle>()).workspace = (first, bytes) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasSetMathMode(_: *mut c_void, _: c_int) -> c_int {
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmEx(
    handle: *mut c_void,
    transposed_a: c_int,
    transposed_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: usize,
    a_type: c_int,
    a_stride: c_int,
    b: usize,
    b_type: c_int,
    b_stride: c_int,
    beta: *const c_void,
    c: usize,
    c_type: c_int,
    c_stride: c_int,
    compute: c_int,
    algorithm: c_int,
) -> c_int {
    unsafe {
        cublasGemmStridedBatchedEx(
            handle,
            transposed_a,
            transposed_b,
            m,
            n,
            k,
            alpha,
            a,
            a_type,
            a_stride,
            0,
            b,
            b_type,
            b_stride,
            0,
            beta,
            c,
            c_type,
            c_stride,
            0,
            1,
            compute,
            algorithm,
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasDgemmStridedBatched(
    handle: *mut c_void,
    transposed_a: c_int,
    transposed_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: usize,
    a_stride: c_int,
    a_apart: i64,
    b: usize,
    b_stride: c_int,
    b_apart: i64,
    beta: *const c_void,
    c: usize,
    c_stride: c_int,
    c_apart: i64,
    count: c_int,
) -> c_int {
    const F64: c_int = 1;
    unsafe {
        cublasGemmStridedBatchedEx(
            handle,
            transposed_a,
            transposed_b,
            m,
            n,
            k,
            alpha,
            a,
            F64,
            a_stride,
            a_apart,
            b,
            F64,
            b_stride,
            b_apart,
            beta,
            c,
            F64,
            c_stride,
            c_apart,
            count,
            0,
            0,
        )
    }
}

/// A matrix as it lies.
#[derive(Clone, Copy)]
struct Matrix {
    address: usize,
    kind: Type,
    transposed: bool,
    rows: usize,
    columns: usize,
    stride: usize,
    /// From one of a batch to the next.
    apart: usize,
}

impl Matrix {
    fn size(kind: Type) -> usize {
        match kind {
            Type::F64 => 8,
            Type::F32 => 4,
            Type::F16 | Type::Bf16 => 2,
        }
    }

    /// By columns of `rows`, whichever way it lies.
    unsafe fn numbers(&self, index: usize) -> Vec<f64> {
        let (inner, outer) =
            if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) };
        let address = self.address + index * self.apart * Self::size(self.kind);
        let all = unsafe { read(address, self.kind, (outer - 1) * self.stride + inner) };
        let at = |row: usize, column: usize| match self.transposed {
            true => all[row * self.stride + column],
            false => all[column * self.stride + row],
        };
        (0..self.columns)
            .flat_map(|column| (0..self.rows).map(move |row| (row, column)))
            .map(|(r, c)| at(r, c))
            .collect()
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: *mut c_void,
    transposed_a: c_int,
    transposed_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: usize,
    a_type: c_int,
    a_stride: c_int,
    a_apart: i64,
    b: usize,
    b_type: c_int,
    b_stride: c_int,
    b_apart: i64,
    beta: *const c_void,
    c: usize,
    c_type: c_int,
    c_stride: c_int,
    c_apart: i64,
    count: c_int,
    compute: c_int,
    _: c_int,
) -> c_int {
    if m <= 0 || n <= 0 || k <= 0 {
        return if m < 0 || n < 0 || k < 0 { INVALID_VALUE } else { SUCCESS };
    }
    let kinds = [a_type, b_type, c_type].map(Type::of_cublas);
    let [Some(a_type), Some(b_type), Some(c_type)] = kinds else { return NOT_SUPPORTED };
    if c_type == Type::F16 {
        return NOT_SUPPORTED;
    }
    let matrix =
        |address, kind, transposed: c_int, rows: c_int, columns: c_int, stride: c_int, apart: i64| Matrix {
            address,
            kind,
            transposed: transposed != 0,
            rows: rows as usize,
            columns: columns as usize,
            stride: stride as usize,
            apart: apart as usize,
        };
    let (a, b) = (
        matrix(a, a_type, transposed_a, m, k, a_stride, a_apart),
        matrix(b, b_type, transposed_b, k, n, b_stride, b_apart),
    );
    let c = matrix(c, c_type, 0, m, n, c_stride, c_apart);
    let fits =
        |matrix: &Matrix| matrix.stride >= if matrix.transposed { matrix.columns } else { matrix.rows };
    if !fits(&a) || !fits(&b) || !fits(&c) {
        return INVALID_VALUE;
    }
    let (alpha, beta) = unsafe { (factor(alpha, a_type), factor(beta, a_type)) };
    let Handle { stream, workspace: (first, bytes) } = unsafe { &*handle.cast::<Handle>() };
    let (first, bytes) = (*first, *bytes);
    let Some(stream) = (unsafe { usable(*stream) }) else { return EXECUTION_FAILED };
    give(&stream, "cublasGemmEx", move || {
        if bytes > 0 {
            unsafe { use_workspace(first, bytes) };
        }
        (0..count as usize)
            .for_each(|index| unsafe { product(&a, &b, &c, index, [alpha, beta], compute == FAST_TF32) });
    });
    SUCCESS
}

/// `c = alpha · a · b + beta · c`, each sum in f64.
unsafe fn product(a: &Matrix, b: &Matrix, c: &Matrix, index: usize, [alpha, beta]: [f64; 2], rounded: bool) {
    let (mut x, mut y) = unsafe { (a.numbers(index), b.numbers(index)) };
    y.iter_mut().for_each(|number| *number *= alpha);
    if rounded {
        x.iter_mut().chain(&mut y).for_each(|number| *number = tf32(*number));
    }
    let (rows, depth) = (a.rows, a.columns);
    for column in 0..c.columns {
        let address = c.address + (index * c.apart + column * c.stride) * Matrix::size(c.kind);
        // What is multiplied by 0 is not read.
        let mut sums = if beta == 0.0 { vec![0.0; rows] } else { unsafe { read(address, c.kind, rows) } };
        sums.iter_mut().for_each(|sum| *sum *= beta);
        add_rows(&mut sums, &y[column * depth..][..depth], &x);
        unsafe { write(address, c.kind, sums.into_iter()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stream::Stream;

    /// 2 · 3 of this type.
    unsafe fn multiply(handle: *mut c_void, kind: c_int, c: &mut f32) -> c_int {
        let (factors, numbers) = ([1.0f32, 0.0], [2.0f32, 3.0]);
        let [alpha, beta] = [0, 1].map(|i| (&raw const factors[i]).cast());
        let [a, b] = [0, 1].map(|i| &raw const numbers[i] as usize);
        let c = &raw mut *c as usize;
        unsafe {
            let status =
                cublasGemmEx(handle, 0, 0, 1, 1, 1, alpha, a, 0, 1, b, 0, 1, beta, c, kind, 1, 68, -1);
            if let Some(stream) = usable((*handle.cast::<Handle>()).stream) {
                stream.wait();
            }
            status
        }
    }

    #[test]
    fn a_product_writes_over_the_working_memory_that_its_handle_has() {
        let (mut handle, stream) = (ptr::null_mut(), Stream::start());
        let as_handle = (&raw const stream).cast_mut().cast();
        let (mut working, mut c) = ([1u8; 64], 0.0);
        unsafe {
            assert_eq!(cublasCreate_v2(&mut handle), SUCCESS);
            assert_eq!(cublasSetStream_v2(handle, as_handle), SUCCESS);
            assert_eq!(cublasSetWorkspace_v2(handle, working.as_mut_ptr() as usize, 32), SUCCESS);
            assert_eq!(multiply(handle, 0, &mut c), SUCCESS);
            assert_eq!((c, working), (6.0, std::array::from_fn(|i| if i < 32 { 0xee } else { 1 })));
            working = [1; 64];
            assert_eq!(cublasSetStream_v2(handle, as_handle), SUCCESS);
            assert_eq!(multiply(handle, 0, &mut c), SUCCESS);
            assert_eq!(working, [1; 64], "the handle has gone back to its own");
            assert_eq!(multiply(handle, 2, &mut c), NOT_SUPPORTED, "f16");
        }
        stream.end();
    }

    #[test]
    fn a_product_is_refused_where_a_capture_is_broken() {
        let stream: Arc<Stream> = Stream::start();
        let mut handle = Handle { stream: (&raw const stream).cast_mut().cast(), workspace: (0, 0) };
        assert!(stream.begin_capture());
        stream.capturing(|capture| capture.broken = true);
        assert_eq!(unsafe { multiply((&raw mut handle).cast(), 0, &mut 0.0) }, EXECUTION_FAILED);
        assert!(stream.end_capture().unwrap().works.is_empty());
        stream.end();
    }

    #[test]
    fn a_product_is_its_definition_whichever_way_matrices_lie() {
        let number = |i: usize| (i * 7 % 11) as f32 - 5.0;
        let (m, n, k) = (3, 2, 5);
        for (transposed_a, transposed_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 3)).collect();
            let mut c = vec![1.0f32; m * n];
            let a_at =
                |row: usize, depth: usize| if transposed_a { a[row * k + depth] } else { a[depth * m + row] };
            let b_at = |depth: usize, column: usize| {
                if transposed_b { b[depth * n + column] } else { b[column * k + depth] }
            };
            let matrix = |address: usize, transposed: bool, rows: usize, columns: usize| Matrix {
                address,
                kind: Type::F32,
                transposed,
                rows,
                columns,
                stride: if transposed { columns } else { rows },
                apart: 0,
            };
            let (a_of, b_of) = (
                matrix(a.as_ptr() as usize, transposed_a, m, k),
                matrix(b.as_ptr() as usize, transposed_b, k, n),
            );
            unsafe {
                product(&a_of, &b_of, &matrix(c.as_mut_ptr() as usize, false, m, n), 0, [2.0, 3.0], false)
            };
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let sum: f32 = (0..k).map(|depth| a_at(row, depth) * b_at(depth, column)).sum();
                assert_eq!(c[column * m + row], 2.0 * sum + 3.0);
            }
        }
    }
}
