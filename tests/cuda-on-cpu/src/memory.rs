//! Device memory: each allocation is mapped by itself and ends where a page that is not there begins.
//!
//! The `unsafe` is sound since it touches only what `reserve` has mapped and nobody else knows.

use std::{
    collections::BTreeMap,
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

const PAGE: usize = 4096;

/// What a kernel's widest load asks for. A device aligns to more.
const ALIGN: usize = 16;

/// A NaN in every type, and no index.
const SPOILT: u8 = 0xff;

/// Of larger allocations only the beginning is spoilt: to write all would take the host's memory as well.
const MOST_SPOILT: usize = 32 << 20;

static DEVICE: Mutex<Memory> = Mutex::new(Memory { blocks: BTreeMap::new(), used: 0, bounded: true });
static PINNED: Mutex<Memory> = Mutex::new(Memory { blocks: BTreeMap::new(), used: 0, bounded: false });

struct Memory {
    blocks: BTreeMap<usize, Block>,
    used: usize,
    bounded: bool,
}

/// An allocation, by its address.
struct Block {
    bytes: usize,
    committed: bool,
}

/// All there is on the device, `CUDA_ON_CPU_MIB` or 512 MiB.
pub fn total() -> usize {
    let mib = std::env::var("CUDA_ON_CPU_MIB").ok().and_then(|text| text.parse().ok());
    mib.unwrap_or(512usize) << 20
}

pub fn free_bytes() -> usize {
    total().saturating_sub(lock(&DEVICE).used)
}

/// Device memory, or none where there is no more room.
pub fn allocate(bytes: usize) -> Option<usize> {
    let mut device = lock(&DEVICE);
    let address = device.reserve(bytes);
    let fits = device.commit(&[address]);
    if !fits {
        device.unmap(address);
    }
    fits.then_some(address)
}

/// Addresses for device memory, with nothing behind them.
pub fn reserve(bytes: usize) -> usize {
    lock(&DEVICE).reserve(bytes)
}

/// Puts memory behind addresses, all of them or none where there is no room. They stay reserved either way.
pub fn commit(addresses: &[usize]) -> bool {
    lock(&DEVICE).commit(addresses)
}

/// Fills memory with what nobody should read.
pub fn spoil(address: usize) {
    let bytes = lock(&DEVICE).blocks[&address].bytes;
    // SAFETY: so many bytes are there, or the handler of violations tells.
    unsafe { ptr::write_bytes(address as *mut u8, SPOILT, bytes.min(MOST_SPOILT)) };
}

/// Whether there was such an allocation.
pub fn free(address: usize) -> bool {
    lock(&DEVICE).unmap(address)
}

pub fn is_device(address: usize) -> bool {
    lock(&DEVICE).has(address)
}

/// Page-locked host memory.
pub fn allocate_pinned(bytes: usize) -> usize {
    let mut pinned = lock(&PINNED);
    let address = pinned.reserve(bytes);
    pinned.commit(&[address]);
    address
}

pub fn free_pinned(address: usize) -> bool {
    lock(&PINNED).unmap(address)
}

pub fn is_pinned(address: usize) -> bool {
    lock(&PINNED).has(address)
}

fn lock(memory: &'static Mutex<Memory>) -> MutexGuard<'static, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Addresses that end where a page begins that stays inaccessible.
    fn reserve(&mut self, bytes: usize) -> usize {
        let (room, pages) = room(bytes);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: new memory of the system's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), pages + PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "the host has no more memory");
        let address = start as usize + pages - room;
        self.blocks.insert(address, Block { bytes, committed: false });
        address
    }

    fn commit(&mut self, addresses: &[usize]) -> bool {
        let bytes: usize = addresses.iter().map(|address| self.blocks[address].bytes).sum();
        let fits = !self.bounded || self.used + bytes <= total();
        if !fits {
            return false;
        }
        for address in addresses {
            let block = self.blocks.get_mut(address).expect("it was reserved");
            let (room, pages) = room(block.bytes);
            // SAFETY: what `reserve` has mapped.
            unsafe {
                let start = (address + room - pages) as *mut u8;
                libc::mprotect(start.cast(), pages, libc::PROT_READ | libc::PROT_WRITE);
                ptr::write_bytes(start, SPOILT, pages.min(MOST_SPOILT));
            }
            block.committed = true;
        }
        self.used += bytes;
        true
    }

    fn unmap(&mut self, address: usize) -> bool {
        let Some(block) = self.blocks.remove(&address) else { return false };
        if block.committed {
            self.used -= block.bytes;
        }
        let (room, pages) = room(block.bytes);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: what `reserve` has mapped. It stays reserved, so that nothing else comes to lie there.
        unsafe { libc::mmap((address + room - pages) as *mut _, pages, libc::PROT_NONE, flags, -1, 0) };
        true
    }

    fn has(&self, address: usize) -> bool {
        let before = self.blocks.range(..=address).next_back();
        before.is_some_and(|(start, block)| address < start + block.bytes.max(1))
    }
}

/// What an allocation takes, and the pages it lies in the end of.
fn room(bytes: usize) -> (usize, usize) {
    let room = bytes.max(1).next_multiple_of(ALIGN);
    (room, room.next_multiple_of(PAGE))
}
