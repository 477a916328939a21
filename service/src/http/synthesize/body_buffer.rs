//! The bytes of a body as they come. What is large has memory of its own, mapped from the system and given back to it: an
//! allocator would keep it, once for each thread that read a body.

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

/// The largest body that the allocator holds.
const SMALL: usize = 256 << 10;

/// Bytes that grow to a known most without being copied again.
#[derive(Debug)]
pub struct BodyBuffer {
    memory: Memory,
    /// Bytes there will ever be.
    most: usize,
    length: usize,
}

#[derive(Debug)]
enum Memory {
    Small(Vec<u8>),
    /// `most` bytes; those that nothing was written to take no memory.
    Mapped(MmapMut),
}

/// There is no memory for a body.
#[derive(Debug, thiserror::Error)]
#[error("map memory for a body")]
pub struct NoMemory(#[from] std::io::Error);

impl BodyBuffer {
    /// An empty one, for at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { memory: Memory::Small(Vec::new()), most, length: 0 }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the system has no memory for them, or they are more than there can be.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        let end = self.length + bytes.len();
        if end > self.most {
            return Err(NoMemory(std::io::ErrorKind::StorageFull.into()));
        }
        if let Memory::Small(small) = &mut self.memory {
            if end <= SMALL {
                small.extend_from_slice(bytes);
                self.length = end;
                return Ok(());
            }
            let mut mapped = MmapOptions::new().len(self.most).no_reserve_swap().map_anon()?;
            mapped[..self.length].copy_from_slice(small);
            self.memory = Memory::Mapped(mapped);
        }
        if let Memory::Mapped(mapped) = &mut self.memory {
            mapped[self.length..end].copy_from_slice(bytes);
        }
        self.length = end;
        Ok(())
    }

    /// The bytes that have come.
    pub fn as_slice(&self) -> &[u8] {
        match &self.memory {
            Memory::Small(small) => small,
            Memory::Mapped(mapped) => &mapped[..self.length],
        }
    }

    /// The bytes that have come, to be decoded where they lie.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Small(small) => small,
            Memory::Mapped(mapped) => &mut mapped[..self.length],
        }
    }

    /// The bytes, to be shared without being copied.
    pub fn into_bytes(self) -> Bytes {
        match self.memory {
            Memory::Small(small) => small.into(),
            Memory::Mapped(mapped) => Bytes::from_owner(mapped).slice(..self.length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_came_in_however_many() {
        for length in [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            for piece in [1000, SMALL, 2 * SMALL] {
                let mut buffer = BodyBuffer::new(4 * SMALL);
                for piece in bytes.chunks(piece) {
                    buffer.extend(piece).unwrap();
                }
                assert!(buffer.as_slice() == bytes && buffer.as_mut_slice() == bytes, "{length}");
                assert!(buffer.into_bytes() == bytes, "{length}");
            }
        }
    }

    #[test]
    fn there_are_never_more_than_the_most() {
        let mut buffer = BodyBuffer::new(2 * SMALL);
        buffer.extend(&vec![7; 2 * SMALL]).unwrap();
        assert!(buffer.extend(&[7]).is_err());
        assert_eq!(buffer.as_slice().len(), 2 * SMALL);
    }
}
