//! Zeroed memory on page boundaries, in huge pages where the system gives them.

use std::{
    fmt, marker,
    ops::{Deref, DerefMut},
};

use bytemuck::Pod;
use memmap2::MmapMut;

/// A fixed-length slice, so aligned that a vector load never straddles two cache lines.
///
/// Pages that were never written take no memory: the system maps them on first use.
pub struct Buffer<T: Pod> {
    memory: Option<MmapMut>, // none for no elements
    len: usize,
    elements: marker::PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let bytes = len.checked_mul(size_of::<T>());
        let bytes =
            bytes.expect("a buffer is smaller than the address space: its length came from network sizes");
        let memory = (bytes > 0).then(|| mapped(bytes));
        Self { memory, len, elements: marker::PhantomData }
    }

    /// At least `len` elements long; what it held is lost when it has to grow.
    pub fn at_least(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            *self = Self::zeroed(0); // release before asking for more
            *self = Self::zeroed(len);
        }
        &mut self[..len]
    }
}

/// Fresh memory. Like a failed allocation, a failure to map ends the process.
fn mapped(bytes: usize) -> MmapMut {
    let memory = MmapMut::map_anon(bytes)
        .unwrap_or_else(|_| std::alloc::handle_alloc_error(std::alloc::Layout::new::<u8>()));
    #[cfg(target_os = "linux")]
    // A kernel without huge pages refuses, and the memory works all the same.
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory
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
        let bytes = self.memory.as_deref().map(|bytes| &bytes[..self.len * size_of::<T>()]);
        bytes.map_or(&[], bytemuck::cast_slice)
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = self.memory.as_deref_mut().map(|bytes| &mut bytes[..self.len * size_of::<T>()]);
        bytes.map_or(&mut [], bytemuck::cast_slice_mut)
    }
}

impl<T: Pod> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer<{}>[{}]", std::any::type_name::<T>(), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: usize = 64;

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
