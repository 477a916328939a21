//! What an engine's time goes into, told to whoever has a clock.

/// A part of the work on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The first feature map, and the search for tables of the mask.
    Start,
    /// Gamma and beta of neighbourhoods that were not cached.
    Tables,
    /// The modulation, activation and convs of the residual blocks.
    Convs,
    /// The last conv and the image.
    Image,
}

impl Phase {
    /// Its name in a benchmark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Tables => "tables",
            Self::Convs => "convs",
            Self::Image => "image",
        }
    }
}

/// Is told each part as it ends.
pub type ProfileSink<'a> = &'a mut (dyn FnMut(Phase) + Send);
