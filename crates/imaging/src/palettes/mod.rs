//! The colours in which data sets and their tools draw masks: facts, stated with their source in `docs/masks.md`.
//!
//! A model's own colours come with its labels. These tables serve two ends: the import of published checkpoints, and
//! naming the palette of a mask that was drawn for another model.

mod ade20k;
mod carla;
mod cityscapes;
mod coco_stuff;
mod mmsegmentation;

pub use ade20k::ADE20K;
pub use cityscapes::CITYSCAPES;
pub use coco_stuff::{COCO_STUFF, COCO_THINGS};

/// PASCAL VOC's colour of an id: the id's bits dealt out to red, green and blue, the most significant colour bit
/// first. Data sets without colours of their own, and labelme, are commonly drawn so.
pub fn voc_color(id: u8) -> [u8; 3] {
    let channel = |channel: u8| {
        (0..3).fold(0, |value, turn| {
            let bit = 3 * turn + channel;
            let set = bit < 8 && id >> bit & 1 == 1;
            value | u8::from(set) << (7 - turn)
        })
    };
    [channel(0), channel(1), channel(2)]
}

/// The ids of PASCAL VOC itself: background, twenty classes, and the border between them.
const VOC_IDS: [u8; 22] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 255];

/// A palette that masks in the wild are drawn in.
pub(crate) struct KnownPalette {
    /// Its name in a sentence.
    pub(crate) name: &'static str,
    contains: fn([u8; 3]) -> bool,
}

impl KnownPalette {
    /// Whether `color` is one of its colours. Black, which most palettes share, always is.
    pub(crate) fn contains(&self, color: [u8; 3]) -> bool {
        color == [0; 3] || (self.contains)(color)
    }
}

/// The palettes that are recognised, the narrowest first: a mask that fits several is named after the first.
pub(crate) const KNOWN_PALETTES: [KnownPalette; 7] = [
    KnownPalette {
        name: "PASCAL VOC",
        contains: |color| VOC_IDS.into_iter().any(|id| voc_color(id) == color),
    },
    KnownPalette { name: "Cityscapes", contains: |color| CITYSCAPES.contains(&color) },
    KnownPalette { name: "CARLA", contains: |color| carla::CARLA.contains(&color) },
    KnownPalette { name: "ADE20K", contains: |color| ADE20K.contains(&color) },
    KnownPalette {
        name: "COCO-Stuff",
        contains: |color| COCO_THINGS.contains(&Some(color)) || COCO_STUFF.contains(&color),
    },
    KnownPalette {
        name: "MMSegmentation's COCO-Stuff",
        contains: |color| mmsegmentation::MMSEGMENTATION_COCO.contains(&color),
    },
    KnownPalette { name: "PASCAL VOC", contains: |color| (0..=u8::MAX).any(|id| voc_color(id) == color) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voc_colours_are_the_published_ones() {
        assert_eq!(
            [0, 1, 2, 3, 15, 255].map(voc_color),
            [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [224, 224, 192]]
        );
    }

    #[test]
    fn published_entries_stand_where_they_belong() {
        // ADE20K: wall, building, sky, tree, road, grass, flag.
        assert_eq!(
            [0, 1, 2, 4, 6, 9, 149].map(|label: usize| ADE20K[label]),
            [
                [120, 120, 120],
                [180, 120, 120],
                [6, 230, 230],
                [4, 200, 3],
                [140, 140, 140],
                [4, 250, 7],
                [92, 0, 255]
            ]
        );
        assert_eq!(CITYSCAPES[7], [128, 64, 128], "road");
        assert_eq!(COCO_THINGS[0], Some([220, 20, 60]), "person");
        assert_eq!(COCO_THINGS[89], Some([191, 162, 208]), "toothbrush");
        assert_eq!(COCO_THINGS.iter().flatten().count(), 80);
    }

    #[test]
    fn a_palette_knows_its_colours() {
        let named =
            |color| KNOWN_PALETTES.iter().find(|palette| palette.contains(color)).map(|palette| palette.name);
        assert_eq!(named([128, 64, 128]), Some("Cityscapes"));
        assert_eq!(named([157, 234, 50]), Some("CARLA"));
        assert_eq!(named([6, 230, 230]), Some("ADE20K"));
        assert_eq!(named([1, 2, 3]), None);
    }
}
