//! An instance map as people send it.

use crate::mask::open_map;
use crate::mask::raster::{Pixels, Raster};
use crate::{ErrorKind, InstanceMap, Limits, ReadError, ShapeError, Size};

/// Why an instance map was refused.
#[derive(Debug, thiserror::Error)]
pub enum InstancesError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not the mask's size.
    #[error("it is {given} and the mask is {wanted}; send both at the same size")]
    WrongSize {
        /// Its size.
        given: Size,
        /// The mask's.
        wanted: Size,
    },
    /// Its pixels do not fill its size; a fault of the decoder.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl InstancesError {
    /// What sort of mistake it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::WrongSize { .. } => ErrorKind::WrongSize,
            Self::Shape(_) => ErrorKind::Damaged,
        }
    }
}

/// Reads a PNG as an instance map for a mask of `mask_size`, sampled to `size`.
///
/// Every distinct value is an instance: a grey level of 8 or 16 bits, a palette index, or a colour.
///
/// # Errors
/// When the file is no readable PNG, larger than `limits`, or not of the mask's size.
pub fn decode_instances(
    bytes: &[u8],
    mask_size: Size,
    size: Size,
    limits: &Limits,
) -> Result<InstanceMap, InstancesError> {
    let rows = open_map(bytes, limits)?;
    if rows.size() != mask_size {
        return Err(InstancesError::WrongSize { given: rows.size(), wanted: mask_size });
    }
    let ids = match Raster::read(rows, size)?.pixels {
        Pixels::Indexed { indices, .. } => indices.into_iter().map(u32::from).collect(),
        Pixels::Gray(values) => values.into_iter().map(u32::from).collect(),
        // Colours stand for instances as they are; the high bytes of 16-bit ones tell them apart.
        Pixels::Rgb(colors) => colors
            .into_iter()
            .map(|[r, g, b]| (u32::from(r) << 20) ^ (u32::from(g) << 10) ^ u32::from(b))
            .collect(),
    };
    Ok(InstanceMap::new(size.width, size.height, ids)?)
}
