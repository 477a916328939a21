//! The model inside the binary, so that the first command shows something.

use spadework_checkpoint::Embedded;

/// A small generator of landscapes; `service/models/landscape/README.md` says how it was made.
pub const LANDSCAPE: Embedded = Embedded {
    name: "landscape",
    config: include_bytes!("../models/landscape/config.json"),
    generator: include_bytes!("../models/landscape/generator.safetensors"),
    encoder: Some(include_bytes!("../models/landscape/encoder.safetensors")),
};
