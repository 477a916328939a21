//! Memory that one image is made in.

use spadework_kernels::cpu::Buffer;

use super::{scratch::Scratch, tables::Tables};

/// Feature maps of one image in the making, as large as the widest layer needs.
pub(super) struct Workspace {
    pub(super) x: Buffer<f32>,
    pub(super) out: Buffer<f32>,
    pub(super) dx: Buffer<f32>,
    pub(super) parts: Parts,
}

/// What layers work in, besides feature maps.
pub(super) struct Parts {
    pub(super) tables: Tables,
    /// Some rows of a conv's input, transformed where the conv wants them so.
    pub(super) held: Buffer<f32>,
    pub(super) scratch: Scratch,
}

/// Elements that each part of a workspace holds.
pub(super) struct WorkspaceSizes {
    /// The widest feature map between blocks.
    pub(super) map: usize,
    /// The widest one within a block, or the last conv's products.
    pub(super) inner: usize,
    /// What convs hold of their input.
    pub(super) held: usize,
}

impl Workspace {
    pub(super) fn new(sizes: &WorkspaceSizes, tables: Tables, threads: usize) -> Self {
        Self {
            x: Buffer::zeroed(sizes.map),
            out: Buffer::zeroed(sizes.map),
            dx: Buffer::zeroed(sizes.inner),
            parts: Parts { tables, held: Buffer::zeroed(sizes.held), scratch: Scratch::new(threads) },
        }
    }
}
