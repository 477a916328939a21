//! The palette of an indexed PNG, and what it gives away about who wrote it.

use crate::palettes::voc_color;

const BLACK: [u8; 3] = [0; 3];

/// An indexed PNG's palette.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    colors: Vec<[u8; 3]>,
}

impl Palette {
    pub(super) fn new(colors: Vec<[u8; 3]>) -> Self {
        Self { colors }
    }

    pub(super) fn color(&self, index: u16) -> Option<[u8; 3]> {
        self.colors.get(usize::from(index)).copied()
    }

    /// Entries, with those that pad it.
    pub(super) fn len(&self) -> usize {
        self.colors.len()
    }

    /// Whether every entry is grey.
    pub(super) fn is_gray(&self) -> bool {
        self.colors.iter().all(|[r, g, b]| r == g && g == b)
    }

    /// Whether an entry other than padding has a colour that none of `used` has. An optimiser leaves none such.
    pub(super) fn has_unused(&self, used: impl Iterator<Item = [u8; 3]>) -> bool {
        let used: Vec<_> = used.collect();
        self.colors.iter().any(|color| *color != BLACK && !used.contains(color))
    }

    /// Whether each entry has PASCAL VOC's colour of its index, padding aside.
    pub(super) fn is_voc(&self) -> bool {
        let entries = || self.colors.iter().zip(0..=u8::MAX).filter(|(color, _)| **color != BLACK);
        entries().count() > 0 && entries().all(|(color, index)| *color == voc_color(index))
    }

    /// Whether the greys rise from black in even steps, as they are drawn for looking at: by a whole number, or from
    /// black to white over the palette's entries or a model's `classes`.
    pub(super) fn is_ramp(&self, classes: usize) -> bool {
        let last = self.colors.iter().rposition(|color| *color != BLACK).unwrap_or(0);
        let grays: Vec<usize> = self.colors[..=last.min(self.len().saturating_sub(1))]
            .iter()
            .map(|[gray, ..]| usize::from(*gray))
            .collect();
        let follows = |gray_of: &dyn Fn(usize) -> usize| {
            grays.iter().enumerate().all(|(index, gray)| *gray == gray_of(index))
        };
        let [0, step, ..] = grays[..] else { return false };
        if follows(&|index| index * step) {
            return true;
        }
        let spans = [grays.len() - 1, grays.len(), self.len() - 1, self.len(), classes - 1, classes];
        spans.into_iter().filter(|span| *span > 0).any(|span| {
            follows(&|index| index * 255 / span) || follows(&|index| (2 * index * 255 + span) / (2 * span))
        })
    }

    /// Whether it is a palette for any image, which converters dither to: all colours of the web-safe cube.
    pub(super) fn is_web_safe(&self) -> bool {
        const CUBE: usize = 216;
        let mut safe: Vec<_> =
            self.colors.iter().filter(|color| color.iter().all(|sample| sample.is_multiple_of(51))).collect();
        safe.sort_unstable();
        safe.dedup();
        safe.len() >= CUBE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grays(grays: &[u8]) -> Palette {
        Palette::new(grays.iter().map(|&gray| [gray; 3]).collect())
    }

    #[test]
    fn even_steps_from_black_are_a_ramp_and_an_optimiser_s_leftovers_are_not() {
        for ramp in [&[0, 50, 100][..], &[0, 85, 170, 255], &[0, 36, 72, 109, 145, 182, 218, 255], &[0, 5]] {
            assert!(grays(ramp).is_ramp(35), "{ramp:?}");
        }
        assert!(grays(&[0, 19, 39, 58, 78]).is_ramp(14), "over the classes");
        assert!(grays(&[0, 50, 100, 0, 0]).is_ramp(35), "padded");
        for other in [&[7, 8, 11, 21, 23, 26][..], &[26, 23, 21, 0], &[0, 4, 8, 13], &[0], &[7]] {
            assert!(!grays(other).is_ramp(35), "{other:?}");
        }
    }

    #[test]
    fn a_voc_palette_is_one_by_position() {
        let whole = Palette::new((0..=255).map(voc_color).collect());
        assert!(whole.is_voc() && !whole.is_gray());
        let mut moved: Vec<_> = (0..21).map(voc_color).collect();
        moved.swap(1, 2);
        assert!(!Palette::new(moved).is_voc());
    }

    #[test]
    fn padding_is_no_unused_entry() {
        let palette = grays(&[7, 9, 0, 0]);
        assert!(!palette.has_unused([[7; 3], [9; 3]].into_iter()));
        assert!(palette.has_unused([[7; 3]].into_iter()));
    }
}
