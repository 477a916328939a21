//! The fourteen classes of a landscape, with the ids and colours of the model that the service embeds.

/// What a pixel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Class {
    Sky,
    Clouds,
    Mountain,
    Snow,
    Hill,
    Tree,
    Grass,
    Sand,
    Sea,
    River,
    Rock,
    Dirt,
    Road,
    Flower,
}

/// Name and colour of each class, by id.
pub const CLASSES: [(&str, [u8; 3]); 14] = [
    ("sky", [95, 219, 255]),
    ("clouds", [170, 170, 170]),
    ("mountain", [134, 150, 100]),
    ("snow", [158, 158, 170]),
    ("hill", [126, 200, 100]),
    ("tree", [140, 104, 47]),
    ("grass", [29, 195, 49]),
    ("sand", [153, 153, 0]),
    ("sea", [54, 62, 167]),
    ("river", [147, 100, 200]),
    ("rock", [149, 100, 50]),
    ("dirt", [110, 110, 40]),
    ("road", [148, 110, 40]),
    ("flower", [200, 60, 120]),
];

impl Class {
    /// The id in label maps.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Water that mirrors.
    pub(crate) const fn is_water(self) -> bool {
        matches!(self, Self::Sea | Self::River)
    }

    /// Ground on which shadows fall.
    pub(crate) const fn takes_shadow(self) -> bool {
        !matches!(self, Self::Sky | Self::Clouds | Self::Tree | Self::Rock)
    }

    /// Above everything that stands on the ground.
    pub(crate) const fn is_sky(self) -> bool {
        matches!(self, Self::Sky | Self::Clouds)
    }
}
