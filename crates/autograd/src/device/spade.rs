//! Tables, statistics, normalisation and modulation.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use spadework_kernels::device::training::{Layer, Mask, TrainingOperators};
use spadework_model::EPSILON;

use super::super::{Moments, Neighbourhoods, SLOPE, Span, graph::node};

pub(crate) fn hidden(
    operators: &Arc<TrainingOperators>,
    weight: &Tensor,
    bias: &Tensor,
    masks: &Arc<Neighbourhoods>,
    _: usize,
) -> Result<Tensor> {
    let (weight, mask) = (weight.contiguous()?, Arc::clone(masks.mask()?));
    let y = operators.hidden(&weight, &bias.contiguous()?, &mask)?;
    let operators = Arc::clone(operators);
    node(&y, [&weight, bias], move |[weight, _], hidden, dy| {
        Ok(operators.hidden_gradients(weight, hidden, dy, &mask)?.map(Some))
    })
}

pub(crate) fn table(
    operators: &Arc<TrainingOperators>,
    hidden: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    masks: &Arc<Neighbourhoods>,
) -> Result<Tensor> {
    let (hidden, weight, mask) = (hidden.contiguous()?, weight.contiguous()?, Arc::clone(masks.mask()?));
    let y = operators.table(&hidden, &weight, &bias.contiguous()?, &mask)?;
    let operators = Arc::clone(operators);
    node(&y, [&hidden, &weight, bias], move |[hidden, weight, _], _, dy| {
        Ok(operators.table_gradients(hidden, weight, dy, &mask)?.map(Some))
    })
}

pub(crate) fn moments(operators: &Arc<TrainingOperators>, x: &Tensor, span: Span) -> Result<Moments> {
    let (n, h, w, _) = x.dims4()?;
    let per_image = matches!(span, Span::Image);
    let mut sums = operators.moment_sums(&x.detach().contiguous()?, per_image)?;
    let mut cells = if per_image { h * w } else { n * h * w };
    if let Span::Processes(collective) = &span {
        sums = collective.sum_tensor(&sums)?;
        cells *= collective.processes(); // all have the same share of a batch
    }
    let statistics = operators.statistics(&sums, cells)?;
    Ok(Moments::on_device(statistics, cells as f64, Some(span)))
}

pub(crate) fn fixed_moments(_: &Arc<TrainingOperators>, mean: &Tensor, variance: &Tensor) -> Result<Moments> {
    let inverse = (variance + EPSILON)?.sqrt()?.recip()?;
    let statistics = Tensor::stack(&[mean, &inverse, variance], 0)?.unsqueeze(0)?.detach();
    Ok(Moments::on_device(statistics, 1.0, None))
}

pub(crate) fn normalize(
    operators: &Arc<TrainingOperators>,
    x: &Tensor,
    moments: Arc<Moments>,
    activate: bool,
) -> Result<Tensor> {
    let layer = DeviceLayer::new(operators, &moments, activate, None);
    let x = x.contiguous()?;
    let y = operators.modulate(&x, &layer.with(None)?)?;
    node(&y, [&x], move |[x], y, dy| {
        let (dx, _) = layer.gradients(x, None, y, dy)?;
        Ok([dx])
    })
}

pub(crate) fn modulate(
    operators: &Arc<TrainingOperators>,
    x: &Tensor,
    table: &Tensor,
    masks: &Arc<Neighbourhoods>,
    moments: &Arc<Moments>,
    activate: bool,
) -> Result<Tensor> {
    let layer = DeviceLayer::new(operators, moments, activate, Some(Arc::clone(masks.mask()?)));
    let (x, table) = (x.contiguous()?, table.contiguous()?);
    let y = operators.modulate(&x, &layer.with(Some(&table))?)?;
    node(&y, [&x, &table], move |[x, table], y, dy| {
        let (dx, dtable) = layer.gradients(x, Some(table), y, dy)?;
        Ok([dx, dtable])
    })
}

/// A layer in the graph.
struct DeviceLayer {
    operators: Arc<TrainingOperators>,
    moments: Arc<Moments>,
    mask: Option<Arc<Mask>>,
    slope: f32,
}

impl DeviceLayer {
    fn new(
        operators: &Arc<TrainingOperators>,
        moments: &Arc<Moments>,
        activate: bool,
        mask: Option<Arc<Mask>>,
    ) -> Self {
        let slope = if activate { SLOPE as f32 } else { 1.0 };
        Self { operators: Arc::clone(operators), moments: Arc::clone(moments), mask, slope }
    }

    fn with<'a>(&'a self, table: Option<&'a Tensor>) -> Result<Layer<'a>> {
        let Some(statistics) = self.moments.statistics() else { bail!("statistics are on another device") };
        Ok(Layer { statistics, table: table.zip(self.mask.as_deref()), slope: self.slope })
    }

    /// Gradients of the map and of the table, where there is one.
    fn gradients(
        &self,
        x: &Tensor,
        table: Option<&Tensor>,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (operators, layer) = (&self.operators, self.with(table)?);
        let sums = operators.layer_sums(x, y, dy, &layer)?;
        let of_table = match (&sums.segments, &self.mask) {
            (Some(segments), Some(mask)) => Some(operators.modulation_gradient(segments, mask)?),
            _ => None,
        };
        if !x.track_op() {
            return Ok((None, of_table));
        }
        let cells = y.elem_count() / y.dim(3)? / layer.statistics.dim(0)?;
        let owed = self.owed(&sums.owed, cells)?;
        Ok((Some(operators.modulate_gradient(x, y, dy, &layer, owed.as_ref())?), of_table))
    }

    /// What a map's gradient owes to its statistics, from the sums over the local cells: means over all cells, or nothing
    /// where they are constants.
    fn owed(&self, sums: &Tensor, cells: usize) -> Result<Option<Tensor>> {
        let Some(span) = self.moments.span() else { return Ok(None) };
        let mean = match span {
            Span::Processes(collective) => {
                let all = collective.sum_tensor(sums)?;
                all / (cells * collective.processes()) as f64
            }
            Span::Image | Span::Batch => sums / cells as f64,
        };
        mean?.to_dtype(DType::F32).map(Some)
    }
}
