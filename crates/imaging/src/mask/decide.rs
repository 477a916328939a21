//! Decides what a mask's samples mean, by evidence. The only place that does.
//!
//! Every way in which a file of its form can be read is tried. Where only one gives every pixel a class, it is taken.
//! Where several do and disagree, the mask is refused, unless the file itself tells which was meant.

use super::census::{Census, Sample};
use super::error::ReadingName;
use super::palette::Palette;
use super::reading::{INSTANCES_FROM, Reading};
use super::{MaskEncoding, MaskError, MaskFormat, MaskOptions};
use crate::LabelSet;
use crate::palettes::KNOWN_PALETTES;

/// A palette is a mask's when all but a tenth of the pixels have its colours.
const FEWEST_OF_A_PALETTE: f64 = 0.9;

/// By how much of the pixels another palette must fit better than the model's own.
const BETTER_BY: f64 = 0.01;

/// What a file's samples are, as it stores them.
pub(super) enum Form {
    Indexed(Palette),
    /// Grey of so many bits.
    Gray(u8),
    /// Red, green and blue of so many bits.
    Rgb(u8),
}

/// The way to read a mask.
///
/// # Errors
/// When no way gives every pixel a class, or several do and nothing tells which was meant.
pub(super) fn decide(
    census: &Census,
    form: &Form,
    labels: &LabelSet,
    options: MaskOptions,
) -> Result<Reading, MaskError> {
    let evidence = Evidence { census, labels, options };
    match form {
        Form::Indexed(palette) => evidence.indexed(palette),
        Form::Gray(bits) => evidence.gray(*bits),
        Form::Rgb(bits) => evidence.rgb(*bits),
    }
}

/// What there is to decide by.
struct Evidence<'a> {
    census: &'a Census,
    labels: &'a LabelSet,
    options: MaskOptions,
}

/// The ways to read values that are all grey.
struct GrayWays {
    /// The grey values from 0 to 255 as ids.
    shown: Reading,
    /// The stored numbers as ids, where they are others.
    raw: Option<Reading>,
    /// The greys as label colours.
    colors: Reading,
    /// Whether the stored numbers are more likely ids than the greys are, equally likely, or less.
    raw_is: Likelihood,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likelihood {
    /// They are the ids if the greys are none.
    OtherwiseLikely,
    /// They are the ids only if the caller says so; where both are possible, the caller has to.
    Possible,
    /// The greys are meant.
    Unlikely,
}

impl Evidence<'_> {
    fn ids(&self, encoding: MaskEncoding, value_of: impl Fn(Sample) -> u16) -> Reading {
        Reading::ids(self.census, self.labels, encoding, value_of)
    }

    fn colors(&self, encoding: MaskEncoding, color_of: impl Fn(Sample) -> [u8; 3]) -> Reading {
        Reading::colors(self.census, self.labels, encoding, color_of)
    }

    fn indexed(&self, palette: &Palette) -> Result<Reading, MaskError> {
        let indices = || self.ids(MaskEncoding::IndexedIds, |[index, ..]| index);
        let missing = self.census.samples().find(|[index, ..]| palette.color(*index).is_none());
        if let Some([index, ..]) = missing {
            return match self.options.format {
                MaskFormat::Auto | MaskFormat::Ids | MaskFormat::Raw => indices().checked(self.labels),
                MaskFormat::Colors | MaskFormat::Shown => {
                    Err(MaskError::NoPaletteEntry { index, entries: palette.len() })
                }
            };
        }
        if palette.is_gray()
            && matches!(self.options.format, MaskFormat::Auto | MaskFormat::Ids)
            && let Some(shared) = self.shared_entries(palette)
        {
            return Err(shared);
        }
        let color_of = |[index, ..]: Sample| palette.color(index).unwrap_or_default();
        let colors = || self.colors(MaskEncoding::IndexedColors, color_of);
        if palette.is_gray() && self.options.format != MaskFormat::Colors {
            return self.choose(GrayWays {
                shown: self.ids(MaskEncoding::IndexedGrays, |sample| u16::from(color_of(sample)[0])),
                raw: Some(indices()),
                colors: colors(),
                raw_is: self.likelihood_of_indices(palette),
            });
        }
        match self.options.format {
            MaskFormat::Ids | MaskFormat::Raw => indices().checked(self.labels),
            MaskFormat::Shown => Err(MaskError::ColorsAsIds),
            MaskFormat::Colors => self.checked_colors(colors()),
            MaskFormat::Auto => self.colored_palette(palette, colors(), indices()),
        }
    }

    /// Whether the entries of a palette that is not all grey are label colours, or are for looking at.
    fn colored_palette(
        &self,
        palette: &Palette,
        colors: Reading,
        indices: Reading,
    ) -> Result<Reading, MaskError> {
        // The studio's files: labels without a colour have any, and several may have the same.
        let is_by_position = self.is_the_model_s_by_position(palette);
        match self.shared_entries(palette) {
            Some(shared) if !is_by_position => return Err(shared),
            None if self.is_the_model_s(&colors) => return Ok(colors),
            _ => {}
        }
        // labelme's files, and PASCAL VOC's: the palette is for looking at.
        if is_by_position || palette.is_voc() {
            return indices.checked(self.labels);
        }
        if palette.is_web_safe() {
            return Err(MaskError::WebPalette);
        }
        self.refuse_foreign_palette(&colors)?;
        // Black stands in nearly every palette, so it alone is no evidence.
        if !self.labels.has_colors() || !colors.matches_more_than_black() {
            return indices.checked(self.labels);
        }
        colors.checked(self.labels).map_err(|error| MaskError::PerhapsRaw(Box::new(error)))
    }

    /// The refusal of a mask that uses two palette entries of one colour: read by its colours, two labels would be one.
    /// An optimiser leaves no such pair.
    fn shared_entries(&self, palette: &Palette) -> Option<MaskError> {
        let entries: Vec<(u16, [u8; 3])> =
            self.census.samples().filter_map(|[index, ..]| Some((index, palette.color(index)?))).collect();
        entries.iter().enumerate().find_map(|(i, &(other, color))| {
            let (entry, _) = *entries[..i].iter().find(|(_, earlier)| *earlier == color)?;
            Some(MaskError::SharedEntries { entries: [entry, other], color })
        })
    }

    /// Whether every index that is used is a class that has its entry's colour, or none at all, and some has.
    fn is_the_model_s_by_position(&self, palette: &Palette) -> bool {
        let color_of = |index: u16| u8::try_from(index).ok().and_then(|id| self.labels.label(id)?.color);
        let mut indices = self.census.samples().map(|[index, ..]| index);
        let fits = |index: u16| {
            self.labels.class_of_value(index).is_some()
                && color_of(index).is_none_or(|color| Some(color) == palette.color(index))
        };
        let any = self.census.samples().any(|[index, ..]| color_of(index).is_some());
        any && indices.all(fits)
    }

    /// How likely the indices of an all-grey palette are ids: a ramp of even steps is drawn for looking at, and only by
    /// who has indices; an optimiser keeps the entries that are used, in any order.
    fn likelihood_of_indices(&self, palette: &Palette) -> Likelihood {
        if !palette.is_ramp(self.labels.classes()) {
            return Likelihood::Unlikely;
        }
        let used = self.census.samples().filter_map(|[index, ..]| palette.color(index));
        if palette.has_unused(used) { Likelihood::OtherwiseLikely } else { Likelihood::Possible }
    }

    fn gray(&self, bits: u8) -> Result<Reading, MaskError> {
        let value = |[value, ..]: Sample| value;
        match bits {
            16 => self.wide(MaskEncoding::WideGrays, MaskEncoding::GrayIds),
            8 => self.choose(GrayWays {
                shown: self.ids(MaskEncoding::GrayIds, value),
                raw: None,
                colors: self.colors(MaskEncoding::GrayColors, gray_of(value)),
                raw_is: Likelihood::Unlikely,
            }),
            bits => {
                let shown = move |[value, ..]: Sample| value * (255 / ((1 << bits) - 1));
                self.choose(GrayWays {
                    shown: self.ids(MaskEncoding::PackedGrays, shown),
                    raw: Some(self.ids(MaskEncoding::GrayIds, value)),
                    colors: self.colors(MaskEncoding::GrayColors, gray_of(shown)),
                    raw_is: Likelihood::OtherwiseLikely,
                })
            }
        }
    }

    /// Sixteen bits of grey, or of three equal channels.
    fn wide(&self, scaled: MaskEncoding, stored: MaskEncoding) -> Result<Reading, MaskError> {
        let value = |[value, ..]: Sample| value;
        let scaled_by = |step: u16| {
            let shown = move |[value, ..]: Sample| value / step;
            let encoding = if self.is_black() { stored } else { scaled };
            (self.ids(encoding, shown), self.colors(MaskEncoding::GrayColors, gray_of(shown)))
        };
        // Eight bits widened to sixteen repeat themselves: v * 257.
        if self.options.format != MaskFormat::Raw && self.census.is_multiple_of(257) {
            let (shown, colors) = scaled_by(257);
            return self.choose(GrayWays { shown, raw: None, colors, raw_is: Likelihood::Unlikely });
        }
        let stored = self.stored_wide(stored)?;
        // Some tools shift instead.
        if self.options.format != MaskFormat::Raw && self.census.is_multiple_of(256) {
            let (shown, colors) = scaled_by(256);
            let raw_is = Likelihood::Possible;
            return self.choose(GrayWays { shown, raw: Some(stored), colors, raw_is });
        }
        match self.options.format {
            MaskFormat::Shown | MaskFormat::Colors => Err(MaskError::NotEightBits),
            MaskFormat::Auto | MaskFormat::Ids | MaskFormat::Raw => {
                let highest = self.census.samples().map(value).max().unwrap_or(0);
                if highest >= INSTANCES_FROM && !self.options.instance_edges {
                    return Err(MaskError::InstanceIds { highest });
                }
                stored.checked(self.labels)
            }
        }
    }

    /// Sixteen-bit values as they are: ids, or `id * 1000 + k` for a model with instance edges.
    fn stored_wide(&self, encoding: MaskEncoding) -> Result<Reading, MaskError> {
        let has_instances = self.census.samples().any(|[value, ..]| value >= INSTANCES_FROM);
        let instances = has_instances && self.options.instance_edges;
        Ok(self.ids(if instances { MaskEncoding::InstanceIds } else { encoding }, |[value, ..]| value))
    }

    fn is_black(&self) -> bool {
        self.census.samples().all(|sample| sample == [0; 3])
    }

    /// Chooses among the readings of values that are all grey.
    fn choose(&self, ways: GrayWays) -> Result<Reading, MaskError> {
        let GrayWays { shown, raw, colors, raw_is } = ways;
        match self.options.format {
            MaskFormat::Colors => return self.checked_colors(colors),
            MaskFormat::Shown => return shown.checked(self.labels),
            MaskFormat::Raw => return raw.unwrap_or(shown).checked(self.labels),
            MaskFormat::Auto | MaskFormat::Ids => {}
        }
        let is_auto = self.options.format == MaskFormat::Auto;
        let raw = raw.filter(|raw| raw.is_exact() && raw_is != Likelihood::Unlikely);
        let colors =
            Some(colors).filter(|colors| is_auto && self.is_the_model_s(colors) && shown.values() != [0]);
        // Nobody stores grey ids as red, green and blue of exactly the greys of the model's colours.
        if let Some(colors) = &colors
            && shown.encoding == MaskEncoding::RgbIds
        {
            return Ok(colors.clone());
        }
        if raw.is_some() && raw_is == Likelihood::Possible && !shown.is_exact() {
            return shown.checked(self.labels).map_err(|error| MaskError::PerhapsRaw(Box::new(error)));
        }
        let shown_is_exact = shown.is_exact();
        let mut ways: Vec<Reading> = Vec::new();
        // Where two agree, the simpler name stands.
        for way in raw.into_iter().chain(shown_is_exact.then(|| shown.clone())).chain(colors) {
            if !ways.iter().any(|other| other.agrees_with(&way)) {
                ways.push(way);
            }
        }
        let chosen = match &ways[..] {
            [] => return shown.checked(self.labels),
            [way] => way.clone(),
            [one, other, ..] => {
                return Err(MaskError::Ambiguous {
                    one: ReadingName::of(one),
                    other: ReadingName::of(other),
                });
            }
        };
        if is_auto && self.is_binary(&chosen) { Err(self.binary()) } else { Ok(chosen) }
    }

    /// Whether the values are 0 and 255 alone, as in one object's mask, and 255 would pass for unknown.
    fn is_binary(&self, reading: &Reading) -> bool {
        self.labels.unknown().is_some() && reading.values() == [0, 255]
    }

    fn binary(&self) -> MaskError {
        MaskError::Binary { name: self.labels.name(0) }
    }

    fn rgb(&self, bits: u8) -> Result<Reading, MaskError> {
        if self.census.is_gray() && (bits == 8 || !self.census.is_multiple_of(257)) {
            return self.gray_rgb(bits);
        }
        let eight_bits = |sample: u16| match bits {
            16 => ((u32::from(sample) * 255 + 32_767) / 65_535) as u8,
            _ => sample as u8,
        };
        if self.census.is_gray() {
            return self.gray_rgb_of(move |[value, ..]| u16::from(eight_bits(value)));
        }
        let colors = self.colors(MaskEncoding::RgbColors, move |sample| sample.map(eight_bits));
        match self.options.format {
            MaskFormat::Colors => return self.checked_colors(colors),
            MaskFormat::Auto if self.is_the_model_s(&colors) => return Ok(colors),
            MaskFormat::Auto => self.refuse_foreign_palette(&colors)?,
            MaskFormat::Ids | MaskFormat::Raw | MaskFormat::Shown => {}
        }
        if let Some(channel) = self.census.only_channel() {
            return self.one_channel(channel, bits);
        }
        match self.options.format {
            MaskFormat::Auto | MaskFormat::Colors => self.checked_colors(colors),
            MaskFormat::Ids | MaskFormat::Raw | MaskFormat::Shown => Err(MaskError::ColorsAsIds),
        }
    }

    fn gray_rgb(&self, bits: u8) -> Result<Reading, MaskError> {
        match bits {
            16 => self.wide(MaskEncoding::RgbIds, MaskEncoding::RgbIds),
            _ => self.gray_rgb_of(|[value, ..]| value),
        }
    }

    fn gray_rgb_of(&self, shown: impl Fn(Sample) -> u16 + Copy) -> Result<Reading, MaskError> {
        let colors = self.colors(MaskEncoding::RgbColors, gray_of(shown));
        if self.options.format == MaskFormat::Auto && !self.is_black() && !self.is_the_model_s(&colors) {
            self.refuse_foreign_palette(&colors)?;
        }
        self.choose(GrayWays {
            shown: self.ids(MaskEncoding::RgbIds, shown),
            raw: None,
            colors,
            raw_is: Likelihood::Unlikely,
        })
    }

    /// Simulators write ids to one channel and leave the others 0.
    fn one_channel(&self, channel: usize, bits: u8) -> Result<Reading, MaskError> {
        let scale = if bits == 16 && self.census.is_multiple_of(257) { 257 } else { 1 };
        let encoding = [MaskEncoding::RedIds, MaskEncoding::GreenIds, MaskEncoding::BlueIds][channel];
        let ids = self.ids(encoding, |sample| sample[channel] / scale);
        if self.options.format == MaskFormat::Auto && self.is_binary(&ids) {
            return Err(self.binary());
        }
        if ids.is_exact() {
            return Ok(ids);
        }
        let why = ids.checked(self.labels).err().map(Box::new);
        Err(why.map_or(MaskError::ColorsAsIds, |source| MaskError::OneChannel {
            channel: ["red", "green", "blue"][channel],
            source,
        }))
    }

    /// Whether every colour is exactly a label's.
    fn is_the_model_s(&self, colors: &Reading) -> bool {
        self.labels.has_colors() && colors.is_exact()
    }

    fn checked_colors(&self, colors: Reading) -> Result<Reading, MaskError> {
        if !self.labels.has_colors() {
            return Err(MaskError::NoColors);
        }
        colors.checked(self.labels)
    }

    /// Refuses a mask that was drawn in another palette than the model's.
    fn refuse_foreign_palette(&self, colors: &Reading) -> Result<(), MaskError> {
        let all = self.census.pixels() as f64;
        let own = if self.labels.has_colors() { colors.exact_pixels() as f64 / all } else { 0.0 };
        for palette in &KNOWN_PALETTES {
            let fitting: u64 = colors
                .color_pixels()
                .filter(|(color, _)| palette.contains(*color))
                .map(|(_, pixels)| pixels)
                .sum();
            let share = fitting as f64 / all;
            if share >= FEWEST_OF_A_PALETTE && share > own + BETTER_BY {
                return Err(MaskError::ForeignPalette { palette: palette.name });
            }
        }
        Ok(())
    }
}

fn gray_of(value_of: impl Fn(Sample) -> u16) -> impl Fn(Sample) -> [u8; 3] {
    move |sample| [value_of(sample).min(255) as u8; 3]
}
