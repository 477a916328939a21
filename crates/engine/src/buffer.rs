//! Zeroed memory on cache-line boundaries, so that a vector load never straddles two lines.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use bytemuck::Pod;

const LINE: usize = 64;

/// A fixed-length slice that starts on a cache line.
///
/// Pages that were never written take no memory: the allocator maps them on first use.
pub(crate) struct Buffer<T: Pod> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: the buffer owns its memory and `T` is plain data; this is `Box<[T]>` with another alignment.
unsafe impl<T: Pod + Send> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Sync> Sync for Buffer<T> {}

impl<T: Pod> Buffer<T> {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), len };
        }
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start.cast()) else { handle_alloc_error(layout) };
        Self { start, len }
    }

    /// At least `len` elements long; what it held is lost when it has to grow.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            *self = Self::zeroed(0); // release before asking for more
            *self = Self::zeroed(len);
        }
        &mut self[..len]
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<T>(len).and_then(|layout| layout.align_to(LINE)).expect(
            "a buffer is smaller than the address space: its length came from network sizes in memory",
        )
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Pod> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values: Vec<T> = values.into_iter().collect();
        let mut buffer = Self::zeroed(values.len());
        buffer.copy_from_slice(&values);
        buffer
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` is valid for `len` initialised elements (zeros are a value of any `Pod`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        if layout.size() != 0 {
            // SAFETY: allocated in `zeroed` with this very layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl<T: Pod> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer<{}>[{}]", std::any::type_name::<T>(), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_starts_on_a_cache_line_and_is_zero() {
        for len in [0, 1, 63, 1000] {
            let buffer = Buffer::<f32>::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|value| *value == 0.0));
            assert!(len == 0 || (buffer.as_ptr() as usize).is_multiple_of(LINE));
        }
    }

    #[test]
    fn a_buffer_that_is_large_enough_keeps_its_memory() {
        let mut buffer: Buffer<f32> = (0..10).map(|i| i as f32).collect();
        assert_eq!(buffer.at_least(4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(buffer.at_least(20), [0.0; 20]);
    }
}
