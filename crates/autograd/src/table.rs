//! Gamma and beta once for each distinct neighbourhood: the two convs of a SPADE layer's predictor (paper section 3).
//!
//! The first conv on a one-hot map is a sum of weight columns, taken once for each distinct patch. The second is a sum
//! over its taps of products with the hidden vectors of the patches there; the products, too, are taken once for each
//! patch. Backward, gradients of neighbourhoods are summed up into gradients of patches, tap by tap.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use spadework_engine::plan::NO_PATCH;
use spadework_kernels::cpu::StoreMode;

use super::{
    conv::{ConvGeometry, outer_sums, sum_columns},
    element::Element,
    lanes::{update, vectorized},
    neighbourhoods::{Neighbourhoods, for_each_column},
    panels::{Matrix, Panels, multiply_rows},
    storage::{by_dtype, dtype, slice, stored, tensor, with_values},
};

/// Hidden channels that one task of the first conv's gradient takes.
const HIDDEN: usize = 16;

/// `relu` of the first conv, of weight (hidden, planes, k, k), at every distinct patch: (patches, hidden).
///
/// `label_planes` is the number of one-hot planes; a plane behind them holds instance edges.
///
/// # Errors
/// When the weight has another kernel, or a tensor is not in the memory of a CPU.
pub fn hidden(
    weight: &Tensor,
    bias: &Tensor,
    neighbourhoods: &Arc<Neighbourhoods>,
    label_planes: usize,
) -> Result<Tensor> {
    let (_, _, rows, columns) = weight.dims4()?;
    if rows * columns != neighbourhoods.area {
        bail!("a kernel of {rows}x{columns} was given for patches of {} cells", neighbourhoods.area)
    }
    let op = Hidden { neighbourhoods: Arc::clone(neighbourhoods), label_planes };
    weight.contiguous()?.apply_op2(&bias.contiguous()?, op)
}

/// The second conv, of weight (2C, hidden, k, k), at every distinct neighbourhood: (neighbourhoods, 2C).
///
/// # Errors
/// When shapes do not agree, or a tensor is not in the memory of a CPU.
pub fn table(
    hidden: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    neighbourhoods: &Arc<Neighbourhoods>,
) -> Result<Tensor> {
    let (patches, width) = hidden.dims2()?;
    let (_, inner, rows, columns) = weight.dims4()?;
    if rows * columns != neighbourhoods.area
        || inner != width
        || patches * neighbourhoods.area != neighbourhoods.patches.len()
    {
        bail!("a weight {:?} does not fit hidden vectors {:?}", weight.dims(), hidden.dims())
    }
    let op = Table { neighbourhoods: Arc::clone(neighbourhoods) };
    hidden.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)
}

#[inline]
fn add<T: Element>(sums: &mut [T], values: &[T]) {
    vectorized!({
        update(
            sums,
            [values],
            #[inline(always)]
            |sum, [value]| sum + value,
        )
    });
}

struct Hidden {
    neighbourhoods: Arc<Neighbourhoods>,
    label_planes: usize,
}

impl Hidden {
    #[inline(always)]
    fn for_each_column(&self, patch: &[u16], add: impl FnMut(usize)) {
        for_each_column(patch, self.neighbourhoods.area, self.label_planes, add);
    }

    fn forward<T: Element>(&self, weight: &[T], bias: &[T]) -> Vec<T> {
        let Neighbourhoods { area, patches, .. } = &*self.neighbourhoods;
        let (width, each) = (bias.len(), weight.len() / bias.len());
        let mut columns = vec![T::zero(); weight.len()]; // (plane, tap, hidden)
        columns.par_chunks_mut(width).enumerate().with_min_len(16).for_each(|(index, column)| {
            column
                .iter_mut()
                .enumerate()
                .for_each(|(channel, value)| *value = weight[channel * each + index]);
        });
        let mut out = vec![T::zero(); patches.len() / area * width];
        out.par_chunks_mut(width).zip(patches.par_chunks(*area)).with_min_len(16).for_each(|(out, patch)| {
            out.copy_from_slice(bias);
            self.for_each_column(patch, |index| {
                add(out, &columns[index * width..(index + 1) * width]);
            });
            out.iter_mut().for_each(|value| *value = if *value > T::zero() { *value } else { T::zero() });
        });
        out
    }

    /// Gradients of weight and bias.
    fn backward<T: Element>(
        &self,
        hidden: &[T],
        gradient: &[T],
        weights: usize,
        width: usize,
    ) -> [Vec<T>; 2] {
        let (area, patches) = (self.neighbourhoods.area, &self.neighbourhoods.patches);
        let each = weights / width;
        let mut masked = gradient.to_vec();
        masked.par_chunks_mut(width).zip(hidden.par_chunks(width)).with_min_len(64).for_each(|(dh, h)| {
            dh.iter_mut().zip(h).for_each(|(dh, h)| {
                if *h <= T::zero() {
                    *dh = T::zero()
                }
            });
        });
        let mut dw = vec![T::zero(); weights];
        dw.par_chunks_mut(HIDDEN * each).enumerate().for_each(|(part, dw)| {
            let (first, channels) = (part * HIDDEN, dw.len() / each);
            let mut sums = vec![T::zero(); each * HIDDEN];
            for (patch, dh) in patches.chunks_exact(area).zip(masked.chunks_exact(width)) {
                let dh = &dh[first..first + channels];
                self.for_each_column(patch, |index| {
                    add(&mut sums[index * HIDDEN..][..channels], dh);
                });
            }
            for (channel, dw) in dw.chunks_exact_mut(each).enumerate() {
                dw.iter_mut().enumerate().for_each(|(index, dw)| *dw = sums[index * HIDDEN + channel]);
            }
        });
        [dw, sum_columns(&masked, width)]
    }
}

impl CustomOp2 for Hidden {
    fn name(&self) -> &'static str {
        "modulation-hidden"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(weight), T => {
            let bias = slice::<T>(bias, bias_layout)?;
            let out = self.forward(slice::<T>(weight, weight_layout)?, bias);
            let shape = (out.len() / bias.len(), bias.len());
            Ok(stored(out, shape))
        })
    }

    fn bwd(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        hidden: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_dtype!(weight.dtype(), T => {
            let [dw, db] = with_values::<T, _>(hidden, |hidden| with_values(gradient, |gradient| {
                Ok(self.backward(hidden, gradient, weight.elem_count(), bias.elem_count()))
            }))?;
            Ok((Some(tensor(dw, weight)?), Some(tensor(db, bias)?)))
        })
    }
}

struct Table {
    neighbourhoods: Arc<Neighbourhoods>,
}

impl Table {
    fn forward<T: Element>(&self, hidden: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let Neighbourhoods { area, patches, taps, .. } = &*self.neighbourhoods;
        let (columns, patches) = (bias.len(), patches.len() / area);
        let width = hidden.len() / patches;
        let mut table = vec![T::zero(); taps.len() / area * columns];
        let mut products = vec![T::zero(); patches * columns];
        for tap in 0..*area {
            let matrix =
                Matrix { values: weight, groups: &[tap], rows: width, row: *area, column: width * area };
            let panels = Panels::new(columns, matrix);
            multiply_rows(hidden, &panels, StoreMode::Replace, &mut products);
            let rows = table.par_chunks_mut(columns).zip(taps.par_chunks(*area));
            rows.with_min_len(32).for_each(|(row, taps)| {
                let patch = taps[tap];
                if tap == 0 {
                    row.copy_from_slice(bias);
                }
                if patch != NO_PATCH {
                    add(row, &products[patch as usize * columns..][..columns]);
                }
            });
        }
        table
    }

    /// Gradients of hidden vectors, weight and bias.
    fn backward<T: Element>(
        &self,
        hidden: &[T],
        weight: &[T],
        gradient: &[T],
        columns: usize,
    ) -> [Vec<T>; 3] {
        let Neighbourhoods { area, patches, users, .. } = &*self.neighbourhoods;
        let (area, patches) = (*area, patches.len() / area);
        let width = hidden.len() / patches;
        let mut dh = vec![T::zero(); hidden.len()];
        let mut dw = vec![T::zero(); weight.len()];
        let mut sums = vec![T::zero(); patches * columns];
        for (tap, users) in users.iter().enumerate() {
            sums.par_chunks_mut(columns).enumerate().with_min_len(32).for_each(|(patch, sums)| {
                sums.fill(T::zero());
                for &id in users.of(patch) {
                    add(sums, &gradient[id as usize * columns..][..columns]);
                }
            });
            let matrix =
                Matrix { values: weight, groups: &[tap], rows: columns, row: width * area, column: area };
            let panels = Panels::new(width, matrix);
            multiply_rows(&sums, &panels, StoreMode::Add, &mut dh);
            let products = outer_sums(&ConvGeometry::product(patches, width, columns), hidden, &sums); // (2C, hidden)
            dw.par_chunks_mut(area)
                .zip(&products)
                .with_min_len(1024)
                .for_each(|(dw, product)| dw[tap] = *product);
        }
        [dh, dw, sum_columns(gradient, columns)]
    }
}

impl CustomOp3 for Table {
    fn name(&self) -> &'static str {
        "modulation-table"
    }

    fn cpu_fwd(
        &self,
        hidden: &CpuStorage,
        hidden_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(hidden), T => {
            let (weight, bias) = (slice::<T>(weight, weight_layout)?, slice::<T>(bias, bias_layout)?);
            let out = self.forward(slice::<T>(hidden, hidden_layout)?, weight, bias);
            let shape = (out.len() / bias.len(), bias.len());
            Ok(stored(out, shape))
        })
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        by_dtype!(hidden.dtype(), T => {
            let [dh, dw, db] = with_values::<T, _>(hidden, |h| with_values(weight, |w| with_values(gradient, |g| {
                Ok(self.backward(h, w, g, bias.elem_count()))
            })))?;
            Ok((Some(tensor(dh, hidden)?), Some(tensor(dw, weight)?), Some(tensor(db, bias)?)))
        })
    }
}
