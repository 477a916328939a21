//! Pooling, forward and backward; `spadework_training::ops` says what each of them is.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    calls::{expect, expect_f32, number},
    operators::TrainingOperators,
};
use crate::device::call::Argument::Memory;

impl TrainingOperators {
    /// 3×3 average pooling of `x` (N, H, W, C) with stride 2 and padding 1.
    ///
    /// # Errors
    /// When `x` is no f32 map in one piece.
    pub fn average_pool(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let out = self.empty(&[n, h.div_ceil(2), w.div_ceil(2), c])?;
        self.pool("average_pool", x, &[x], &out, out.elem_count())?;
        Ok(out)
    }

    /// The gradient of `x`.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn average_pool_gradient(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        expect(dy, DType::F32, &[n, h.div_ceil(2), w.div_ceil(2), c])?;
        let dx = self.empty(x.dims())?;
        self.pool("average_pool_gradient", x, &[dy], &dx, dx.elem_count())?;
        Ok(dx)
    }

    /// 2×2 max-pooling of `x` (N, H, W, C).
    ///
    /// # Errors
    /// When a side of `x` has one cell only.
    pub fn max_pool(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        if h < 2 || w < 2 {
            bail!("a map of {h}x{w} has no square of 2x2 to pool")
        }
        let out = self.empty(&[n, h / 2, w / 2, c])?;
        self.pool("max_pool", x, &[x], &out, out.elem_count())?;
        Ok(out)
    }

    /// The gradient of `x`.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn max_pool_gradient(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        expect(dy, DType::F32, &[n, h / 2, w / 2, c])?;
        let dx = self.empty(x.dims())?;
        self.pool("max_pool_gradient", x, &[x, dy], &dx, dx.elem_count())?;
        Ok(dx)
    }

    /// One thread for each number of `out`; the sizes that kernels are told are `x`'s.
    fn pool(
        &self,
        name: &'static str,
        x: &Tensor,
        inputs: &[&Tensor],
        out: &Tensor,
        threads: usize,
    ) -> Result<()> {
        let (_, h, w, c) = x.dims4()?;
        inputs.iter().try_for_each(|input| expect_f32(input))?;
        let mut arguments = vec![number(threads / c.max(1))?, number(c)?, number(h)?, number(w)?];
        arguments.extend(inputs.iter().map(|input| Memory(input)));
        self.run(name, threads, arguments, out)
    }
}
