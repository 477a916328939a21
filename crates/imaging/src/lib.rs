//! Bytes to typed pixels and back: label maps, instance maps, images.
//!
//! Everything that arrives from outside is checked here, once: [`decode_mask`], [`decode_instances`] and
//! [`decode_picture`] look at a file's header before they decode it, refuse what is too large, and answer
//! types that the networks may trust. What is refused says what to change, and [`ErrorKind`] says whose
//! mistake it was. No file system, no clock, no threads.

mod bicubic;
mod edge_map;
mod encode;
mod error_kind;
mod foreign_format;
mod header;
mod instance_map;
mod instances;
mod label_map;
mod label_set;
mod limits;
mod mask;
mod nearest;
pub mod palettes;
mod picture;
mod png_rows;
mod read_error;
mod rgb_image;
mod sink;
mod size;

pub use edge_map::EdgeMap;
pub use encode::{
    EncodeError, check_encodable, encode_jpeg, encode_jpeg_unless, encode_label_png, encode_png,
    encode_png_unless, encode_webp,
};
pub use error_kind::ErrorKind;
pub use header::{Format, Header, peek};
pub use instance_map::InstanceMap;
pub use instances::{InstancesError, decode_instances};
pub use label_map::LabelMap;
pub use label_set::{Label, LabelSet, LabelSetError};
pub use limits::Limits;
pub use mask::{
    COLOR_TOLERANCE, ClassPixels, Mask, MaskEncoding, MaskError, MaskFormat, MaskOptions, MaskReport,
    OFFENDERS_NAMED, ReadingName, Resize, SharedColor, UnknownColor, UnknownId, decode_mask,
};
pub use picture::decode_picture;
pub use read_error::ReadError;
pub use rgb_image::RgbImage;
pub use size::{ShapeError, Size};
