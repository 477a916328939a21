//! The model inside the binary, so that the first command shows something.

use spadework_checkpoint::Embedded;

/// A small generator of landscapes; `service/models/landscape/README.md` says how it was made. A static: a constant would be
/// in the binary once for each place that names it.
pub static LANDSCAPE: Embedded = Embedded {
    name: "landscape",
    config: include_bytes!("../models/landscape/config.json"),
    generator: include_bytes!("../models/landscape/generator.safetensors"),
    encoder: Some(include_bytes!("../models/landscape/encoder.safetensors")),
};
