//! The names of files that are not read here, by their first bytes, so that a refusal can say what was sent.

/// Formats with a fixed beginning.
const BEGINNINGS: [(&[u8], &str); 32] = [
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"II\xbc", "JPEG XR"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\0\0\x01\0", "ICO"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP's XCF"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x8aMNG", "MNG"),
    (b"P4\n", "PBM"),
    (b"P5\n", "PGM"),
    (b"P6\n", "PPM"),
    (b"P7\n", "PAM"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (b"\x93NUMPY", "NumPy"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"SIMPLE  =", "FITS"),
];

/// Brands of the ISO container (ISO/IEC 14496-12), in the order in which they are looked for among a file's brands:
/// `mif1` stands in files of several codecs.
const BRANDS: [(&[u8; 4], &str); 22] = [
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"heic", "HEIC"),
    (b"heix", "HEIC"),
    (b"heim", "HEIC"),
    (b"heis", "HEIC"),
    (b"hevc", "HEIC"),
    (b"hevx", "HEIC"),
    (b"hevm", "HEIC"),
    (b"hevs", "HEIC"),
    (b"jxl ", "JPEG XL"),
    (b"jp2 ", "JPEG 2000"),
    (b"crx ", "Canon CR3"),
    (b"mif1", "HEIC"),
    (b"mif2", "HEIC"),
    (b"mif3", "HEIC"),
    (b"msf1", "HEIC"),
    (b"miaf", "HEIC"),
    (b"heif", "HEIC"),
    (b"qt  ", "QuickTime"),
    (b"isom", "MP4"),
    (b"mp42", "MP4"),
];

/// Text that people send in place of an image.
const TEXTS: [(&[u8], &str); 10] = [
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{", "JSON, whose polygons or run lengths have to be drawn first"),
    (b"[", "JSON, whose polygons or run lengths have to be drawn first"),
    (b"data:image/", "a data URL"),
    (b"ivborw0kggo", "a PNG in base64"),
    (b"/9j/", "a JPEG in base64"),
    (b"ukl", "a WebP in base64"),
];

/// The format of an image, or of a file that holds images, if it is a known one that is not read here.
pub(crate) fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    let known = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name);
    known.or_else(|| iso_format(bytes))
}

/// What a text is, if it is one that people send in place of an image.
pub(crate) fn foreign_text(bytes: &[u8]) -> Option<&'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let start = bytes[..bytes.len().min(16)].to_ascii_lowercase();
    TEXTS.iter().find(|(text, _)| start.starts_with(text)).map(|(_, name)| *name)
}

/// The format of a file that begins with an `ftyp` box: by its major brand, then by the compatible ones.
fn iso_format(bytes: &[u8]) -> Option<&'static str> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let body = bytes.get(8..length.clamp(8, bytes.len()))?;
    // The second word is the version of the major brand.
    let brands: Vec<&[u8; 4]> =
        body.as_chunks().0.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand).collect();
    let named = BRANDS.iter().find(|(brand, _)| brands.contains(brand)).map(|(_, name)| *name);
    named.or(Some("an ISO media file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `ftyp` box of these brands, the major one first.
    fn ftyp(brands: &[&[u8; 4]]) -> Vec<u8> {
        let length = (12 + 4 * brands.len()) as u32;
        let mut bytes = [length.to_be_bytes().as_slice(), b"ftyp", brands[0], &[0; 4]].concat();
        brands[1..].iter().for_each(|brand| bytes.extend(*brand));
        bytes.extend([0; 40]);
        bytes
    }

    #[test]
    fn every_brand_of_heic_and_avif_is_known() {
        for (brands, name) in [
            (&[b"heic", b"mif1", b"heic"][..], "HEIC"),
            (&[b"mif1", b"mif1", b"heic", b"hevc"], "HEIC"),
            (&[b"heix", b"mif1"], "HEIC"),
            (&[b"msf1", b"hevc"], "HEIC"),
            (&[b"mif1"], "HEIC"),
            (&[b"avif", b"mif1", b"miaf"], "AVIF"),
            (&[b"mif1", b"avif", b"miaf"], "AVIF"),
            (&[b"avis", b"msf1"], "AVIF"),
            (&[b"crx ", b"isom"], "Canon CR3"),
            (&[b"wxyz"], "an ISO media file"),
        ] {
            assert_eq!(foreign_format(&ftyp(brands)), Some(name), "{brands:?}");
        }
    }

    #[test]
    fn formats_and_texts_are_named() {
        for (start, name) in
            [(&b"\xff\x0a\xfa"[..], "JPEG XL"), (b"GIF89a", "GIF"), (b"BM6\0", "BMP"), (b"MM\0*\0\0", "TIFF")]
        {
            assert_eq!(foreign_format(start), Some(name));
        }
        for (text, name) in [
            (&b"\xef\xbb\xbf<!DOCTYPE html>"[..], "an HTML page"),
            (b"\n{\"size\": [2, 2]}", "JSON, whose polygons or run lengths have to be drawn first"),
            (b"iVBORw0KGgoAAAANSUhEUg", "a PNG in base64"),
            (b"data:image/png;base64,iVB", "a data URL"),
        ] {
            assert_eq!(foreign_text(text), Some(name));
        }
        assert_eq!(foreign_text(b"hello"), None);
    }
}
