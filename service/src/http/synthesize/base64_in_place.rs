//! Base64 in JSON text or a part of a form, decoded where it lies: a body never takes more than it did when it came.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Base64 as it is written anywhere: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Digits that are decoded at a time: whole groups of four.
const DIGITS: usize = 4096;

/// Decodes a JSON string of base64, in lines or not, with or without a `data:` prefix as browsers write it. `text` begins and
/// ends with the quotes; the bytes are then where the answer says. None when it is no such string.
pub fn decode(text: &mut [u8]) -> Option<std::ops::Range<usize>> {
    let length = unescape(text)?;
    let start = match text[..length].starts_with(b"data:") {
        true => find(&text[..length], b";base64,")?,
        false => 0,
    };
    decode_digits(&mut text[..length], start)
}

/// Decodes base64 in lines. The bytes are then at the beginning, as many as the answer says; none when it is no base64.
pub fn decode_lines(text: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    for read in 0..text.len() {
        if !text[read].is_ascii_whitespace() {
            text[length] = text[read];
            length += 1;
        }
    }
    decode_digits(&mut text[..length], 0).map(|bytes| bytes.end)
}

/// Decodes the digits from `start` on, without white space.
fn decode_digits(text: &mut [u8], start: usize) -> Option<std::ops::Range<usize>> {
    let mut end = text.len();
    while end > start && text[end - 1] == b'=' && text.len() - end < 2 {
        end -= 1;
    }
    let (mut read, mut written) = (start, start);
    while read < end {
        let mut digits = [0; DIGITS];
        let count = DIGITS.min(end - read);
        digits[..count].copy_from_slice(&text[read..read + count]);
        if digits[..count].contains(&b'=') {
            return None; // padding is at the end
        }
        read += count;
        let mut bytes = [0; DIGITS];
        let decoded = BASE64.decode_slice(&digits[..count], &mut bytes).ok()?;
        // Three bytes for four digits: what is written never reaches what is still to be read.
        text[written..written + decoded].copy_from_slice(&bytes[..decoded]);
        written += decoded;
    }
    Some(start..written)
}

/// Takes the quotes and escapes of a JSON string away, and white space, all in place. Answers the length that is left; none
/// when it holds what base64 does not.
fn unescape(text: &mut [u8]) -> Option<usize> {
    let inside =
        text.len().checked_sub(1).filter(|last| *last > 0 && text[0] == b'"' && text[*last] == b'"')?;
    let (mut read, mut written) = (1, 0);
    while read < inside {
        let mut byte = text[read];
        read += 1;
        if byte == b'\\' {
            byte = match *text[..inside].get(read)? {
                b'n' | b'r' | b't' => b' ',
                b'u' => {
                    let hex = std::str::from_utf8(text[..inside].get(read + 1..read + 5)?).ok()?;
                    read += 4;
                    u8::try_from(u16::from_str_radix(hex, 16).ok()?).ok()?
                }
                other @ (b'/' | b'"' | b'\\') => other,
                _ => return None,
            };
            read += 1;
        }
        if !byte.is_ascii_whitespace() {
            text[written] = byte;
            written += 1;
        }
    }
    Some(written)
}

/// The place after the first `part`.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part).map(|place| place + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::BASE64_STANDARD;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut text = text.as_bytes().to_vec();
        decode(&mut text).map(|range| text[range].to_vec())
    }

    #[test]
    fn it_is_read_as_it_is_written_anywhere() {
        for text in [
            r#""aGVsbG8=""#,
            r#""aGVsbG8""#,
            r#""aGVs\nbG8=""#,
            r#""data:image/png;base64,aGVsbG8=""#,
            r#""aGVs\u0062G8=""#,
        ] {
            assert_eq!(decoded(text).as_deref(), Some(&b"hello"[..]), "{text}");
        }
        assert_eq!(decoded(r#""\/\/8=""#).as_deref(), Some(&[255, 255][..]), "an escaped slash");
        assert_eq!(decoded(r#""""#).as_deref(), Some(&[][..]));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "1",
            "null",
            r#""a=b=""#,
            r#""aGVsbG8=aGVsbG8=""#,
            r#""data:image/png,x""#,
            r#""ä""#,
            r#""\u20ac""#,
            r#""aGVs===""#,
            r#"""#,
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    #[test]
    fn whatever_was_encoded_comes_back() {
        for length in (0..70).chain(3060..3090).chain([20_000]) {
            let bytes: Vec<u8> = (0..length).map(|i: usize| (i * i % 251) as u8 | 0xc0).collect();
            let digits = BASE64_STANDARD.encode(&bytes);
            for every in [1, 7, 76, usize::MAX] {
                let lines = digits.as_bytes().chunks(every.min(digits.len().max(1)));
                let lines: Vec<_> = lines.map(|line| std::str::from_utf8(line).unwrap()).collect();
                let text = lines.join(r"\r\n").replace('/', r"\/");
                assert_eq!(decoded(&format!("\"{text}\"")).as_ref(), Some(&bytes), "{length} {every}");
            }
        }
    }
}
