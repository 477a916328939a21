//! What the caller says about a mask.

/// How a mask is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// What the pixels mean.
    pub format: MaskFormat,
    /// What to do with a mask of another size.
    pub resize: Resize,
    /// Whether the model has instance edges, so that 16-bit `id * 1000 + k` may be read.
    pub instance_edges: bool,
}

/// What a mask's pixels mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskFormat {
    /// Decided by evidence; refused where two readings are possible and differ.
    #[default]
    Auto,
    /// Class ids, as grey values, palette indices or the values of one channel; refused where these differ.
    Ids,
    /// Label colours, whatever they are stored as.
    Colors,
    /// Class ids, as the numbers stand in the file: palette indices, samples of any width.
    Raw,
    /// Class ids, as the grey values from 0 to 255 that a viewer shows.
    Shown,
}

/// What to do with a mask whose size is not the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Sample it, nearest, if its aspect ratio is the model's within 2%; else refuse it.
    #[default]
    Auto,
    /// Refuse it.
    Reject,
    /// Sample it, nearest, `floor((i + 0.5) * in / out)`, whatever its aspect ratio.
    Nearest,
}
