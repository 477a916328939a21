//! Changing one f32 tensor by another in place, on a CPU.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

/// Numbers that a thread takes at a time; the results do not depend on it.
pub(super) const CHUNK: usize = 1 << 15;

/// Runs `change` on the numbers of `target` and `source`, which must be contiguous f32 on the CPU.
pub(super) fn change_by(
    name: &'static str,
    target: &Tensor,
    source: &Tensor,
    change: impl Fn(&mut [f32], &[f32]),
) -> Result<()> {
    target.inplace_op2(source, &Change { name, change })
}

struct Change<F> {
    name: &'static str,
    change: F,
}

impl<F: Fn(&mut [f32], &[f32])> InplaceOp2 for Change<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (CpuStorage::F32(target), CpuStorage::F32(source)) = (s1, s2) else {
            bail!("{} works on f32", self.name)
        };
        let (Some((t0, t1)), Some((s0, s1))) = (l1.contiguous_offsets(), l2.contiguous_offsets()) else {
            bail!("{} needs contiguous tensors", self.name)
        };
        (self.change)(&mut target[t0..t1], &source[s0..s1]);
        Ok(())
    }
}
