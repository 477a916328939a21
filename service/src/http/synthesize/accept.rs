//! Which form of answer a request accepts.

use mediatype::{MediaTypeList, Name, ReadParams as _};
use spadework_imaging::Format;

/// A form that pictures can be answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFormat {
    /// `image/png`
    Png,
    /// `image/jpeg`
    Jpeg,
    /// `image/webp`, lossless
    WebP,
    /// `application/json`, the pictures as PNG in base64
    Json,
}

impl AnswerFormat {
    /// In order of preference where a request has none.
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::WebP, Self::Json];

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Json => "application/json",
        }
    }

    /// The format of the pictures in it.
    pub fn format(self) -> Format {
        match self {
            Self::Png | Self::Json => Format::Png,
            Self::Jpeg => Format::Jpeg,
            Self::WebP => Format::WebP,
        }
    }
}

/// The answer that `accept` (the header's text) prefers; PNG when it is absent. `None` when it accepts none of them.
///
/// Each type counts with the quality of the most specific range that matches it (RFC 9110, section 12.5.1).
pub fn negotiate(accept: Option<&str>) -> Option<AnswerFormat> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(AnswerFormat::Png);
    };
    let ranges: Vec<Range<'_>> =
        MediaTypeList::new(accept).filter_map(Result::ok).map(|range| Range::new(&range)).collect();
    let mut best: Option<(f32, AnswerFormat)> = None;
    for answer in AnswerFormat::ALL {
        let quality = quality(&ranges, answer.media_type());
        if quality > best.map_or(0.0, |(quality, _)| quality) {
            best = Some((quality, answer));
        }
    }
    best.map(|(_, answer)| answer)
}

struct Range<'a> {
    kind: Name<'a>,
    subtype: Name<'a>,
    quality: f32,
}

impl<'a> Range<'a> {
    fn new(range: &mediatype::MediaType<'a>) -> Self {
        let q = Name::new_unchecked("q");
        let quality = range.get_param(q).and_then(|value| value.as_str().parse().ok()).unwrap_or(1.0);
        Self { kind: range.ty, subtype: range.subty, quality }
    }

    /// How closely the range names `type/subtype`, 2 for exactly; `None` when it does not match.
    fn closeness(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => Some(0),
            (range, "*") if range.eq_ignore_ascii_case(kind) => Some(1),
            (range, name) if range.eq_ignore_ascii_case(kind) && name.eq_ignore_ascii_case(subtype) => {
                Some(2)
            }
            _ => None,
        }
    }
}

fn quality(ranges: &[Range<'_>], media_type: &str) -> f32 {
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    let matching = ranges.iter().filter_map(|range| Some((range.closeness(kind, subtype)?, range.quality)));
    matching.max_by_key(|(closeness, _)| *closeness).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_range_and_the_highest_quality_win() {
        for (accept, answer) in [
            (None, Some(AnswerFormat::Png)),
            (Some(""), Some(AnswerFormat::Png)),
            (Some("*/*"), Some(AnswerFormat::Png)),
            (Some("image/*"), Some(AnswerFormat::Png)),
            (Some("image/webp"), Some(AnswerFormat::WebP)),
            (Some("IMAGE/JPEG"), Some(AnswerFormat::Jpeg)),
            (Some("application/json, */*;q=0.1"), Some(AnswerFormat::Json)),
            (Some("image/png;q=0.5, image/jpeg;q=0.9"), Some(AnswerFormat::Jpeg)),
            (Some("image/*;q=0.9, image/png;q=0"), Some(AnswerFormat::Jpeg)),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some(AnswerFormat::Png)),
            (Some("text/html"), None),
            (Some("image/png;q=0"), None),
        ] {
            assert_eq!(negotiate(accept), answer, "{accept:?}");
        }
    }
}
