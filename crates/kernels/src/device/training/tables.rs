//! Gamma and beta once for each distinct neighbourhood (paper section 3), and the gradients of the two convs they come
//! from.
//!
//! The first conv on a one-hot map is a sum of weight columns for each distinct patch. The second is one product for all
//! patches and taps, of which each neighbourhood adds up its own.

use candle_core::{DType, Result, Tensor, bail};

use super::{calls::expect, mask::Mask, operators::TrainingOperators};

impl TrainingOperators {
    /// `relu` of the first conv, of weight (hidden, planes, k, k) and bias (hidden), at every patch: (patches, hidden).
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn hidden(&self, weight: &Tensor, bias: &Tensor, mask: &Mask) -> Result<Tensor> {
        let width = weight.dim(0)?;
        if weight.elem_count() != width * mask.columns {
            bail!("a weight {:?} was given for {} columns", weight.shape(), mask.columns)
        }
        let columns = weight.reshape((width, mask.columns))?.t()?.contiguous()?.detach();
        self.sum_rows(&mask.columns_of, &columns, Some(bias), true)
    }

    /// The gradients of the first conv's weight, in the shape of `weight`, and bias.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn hidden_gradients(
        &self,
        weight: &Tensor,
        hidden: &Tensor,
        gradient: &Tensor,
        mask: &Mask,
    ) -> Result<[Tensor; 2]> {
        let before = self.leaky_gradient(hidden, gradient, 0.0)?;
        let columns = self.sum_rows(&mask.patches_of, &before, None, false)?; // (planes · taps, hidden)
        let weight = columns.t()?.contiguous()?.reshape(weight.shape())?;
        Ok([weight, self.column_sums(&before, None)?])
    }

    /// The second conv, of weight (2C, hidden, k, k) and bias (2C), at every neighbourhood: (neighbourhoods, 2C).
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn table(&self, hidden: &Tensor, weight: &Tensor, bias: &Tensor, mask: &Mask) -> Result<Tensor> {
        let columns = weight.dim(0)?;
        let products = self.backend.product(hidden, &by_tap(weight, hidden, mask)?, [false, false])?;
        let products = products.reshape((mask.patches * mask.area, columns))?;
        self.sum_rows(&mask.products_of, &products, Some(bias), false)
    }

    /// The gradients of hidden vectors, weight and bias.
    ///
    /// # Errors
    /// When shapes do not agree.
    pub fn table_gradients(
        &self,
        hidden: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
        mask: &Mask,
    ) -> Result<[Tensor; 3]> {
        let (columns, width) = (weight.dim(0)?, hidden.dim(1)?);
        let by_tap = by_tap(weight, hidden, mask)?;
        let sums = self.sum_rows(&mask.neighbourhoods_of, gradient, None, false)?;
        let sums = sums.reshape((mask.patches, mask.area * columns))?;
        let of_hidden = self.backend.product(&sums, &by_tap, [false, true])?;
        let of_weight = self.backend.product(hidden, &sums, [true, false])?; // (hidden, taps · 2C)
        let of_weight = of_weight.reshape((width, mask.area, columns))?.permute((2, 0, 1))?.contiguous()?;
        Ok([of_hidden, of_weight.reshape(weight.shape())?, self.column_sums(gradient, None)?])
    }
}

/// A weight (2C, hidden, k, k) as a matrix (hidden, taps · 2C), checked against the mask and what it multiplies.
fn by_tap(weight: &Tensor, hidden: &Tensor, mask: &Mask) -> Result<Tensor> {
    let (columns, width, ..) = weight.dims4()?;
    expect(hidden, DType::F32, &[mask.patches, width])?;
    if weight.elem_count() != columns * width * mask.area {
        bail!("a weight {:?} was given for neighbourhoods of {} patches", weight.shape(), mask.area)
    }
    weight
        .reshape((columns, width, mask.area))?
        .permute((1, 2, 0))?
        .contiguous()?
        .reshape((width, mask.area * columns))
        .map(|weight| weight.detach())
}
