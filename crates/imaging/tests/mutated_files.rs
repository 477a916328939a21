//! Whatever bytes arrive, the decoders answer: pixels or a sentence, never a panic.
//!
//! Small valid files (`tests/seeds`) are broken in the ways that reach deep into a decoder: lengths and sizes replaced by
//! extreme ones, parts cut out, doubled and moved, and the checksums made right again.
#![expect(clippy::unwrap_used, reason = "a test file's helpers may fail their test")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use spadework_imaging::{
    Label, LabelSet, Limits, MaskFormat, MaskOptions, Resize, Size, decode_instances, decode_mask,
    decode_picture, peek,
};

/// Keeps a case fast: a header that claims more is refused before it is decoded.
const LIMITS: Limits = Limits { bytes: 1 << 16, pixels: 1 << 14, side: 1 << 12 };

const FORMATS: [MaskFormat; 5] =
    [MaskFormat::Auto, MaskFormat::Ids, MaskFormat::Colors, MaskFormat::Raw, MaskFormat::Shown];

fn seeds(extensions: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds"));
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &&std::path::PathBuf| {
        extensions.iter().any(|wanted| path.extension() == Some(wanted.as_ref()))
    };
    paths.iter().filter(wanted).map(|path| fs::read(path).unwrap()).collect()
}

/// A change of a file. Places are shares of its length, so that they mean something in any file.
#[derive(Clone, Debug)]
enum Change {
    Byte(u16, u8),
    Bit(u16, u8),
    /// A 32-bit number, big or little endian.
    Number(u16, u32, bool),
    Cut(u16, u16),
    Double(u16, u16),
    Move(u16, u16, u16),
    End(u16),
}

fn change() -> impl Strategy<Value = Change> {
    let extreme = prop_oneof![
        Just(0),
        Just(1),
        Just(u32::MAX),
        Just(1 << 31),
        Just(i32::MAX as u32),
        Just(0xffff),
        Just(0x8000),
        (0..600u32),
        any::<u32>(),
    ];
    prop_oneof![
        6 => any::<(u16, u8)>().prop_map(|(at, byte)| Change::Byte(at, byte)),
        6 => any::<(u16, u8)>().prop_map(|(at, bit)| Change::Bit(at, bit)),
        3 => (any::<u16>(), extreme, any::<bool>()).prop_map(|(at, n, big)| Change::Number(at, n, big)),
        1 => (any::<u16>(), 0..64u16).prop_map(|(at, len)| Change::Cut(at, len)),
        1 => (any::<u16>(), 0..64u16).prop_map(|(at, len)| Change::Double(at, len)),
        1 => (any::<u16>(), 0..64u16, any::<u16>()).prop_map(|(at, len, to)| Change::Move(at, len, to)),
        1 => any::<u16>().prop_map(Change::End),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let place = |share: u16| usize::from(share) * len / (1 << 16);
        let range = |at: u16, count: u16| place(at)..(place(at) + usize::from(count)).min(len);
        match *self {
            _ if len == 0 => {}
            Self::Byte(at, byte) => bytes[place(at)] = byte,
            Self::Bit(at, bit) => bytes[place(at)] ^= 1 << (bit % 8),
            Self::Number(at, number, big) => {
                let number = if big { number.to_be_bytes() } else { number.to_le_bytes() };
                bytes.iter_mut().skip(place(at)).zip(number).for_each(|(byte, new)| *byte = new);
            }
            Self::Cut(at, count) => drop(bytes.drain(range(at, count))),
            Self::Double(at, count) => {
                let part = bytes[range(at, count)].to_vec();
                bytes.splice(place(at)..place(at), part);
            }
            Self::Move(at, count, to) => {
                let part: Vec<u8> = bytes.drain(range(at, count)).collect();
                let to = place(to).min(bytes.len());
                bytes.splice(to..to, part);
            }
            Self::End(at) => bytes.truncate(place(at)),
        }
    }
}

/// Makes the checksums of a PNG's chunks and the length of a WebP right, so that a change is not all that is seen.
fn repair(bytes: &mut [u8]) {
    if bytes.starts_with(b"RIFF") && bytes.len() >= 8 {
        let length = bytes.len() as u32 - 8;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
    }
    let mut at = 8;
    while bytes.starts_with(b"\x89PNG")
        && let Some(length) = bytes.get(at..at + 4)
    {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= bytes.len()) else { break };
        let crc = crc32(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
}

/// CRC-32 of a PNG chunk, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}

fn labels() -> LabelSet {
    let label = |id: u8| Label { id, name: id.to_string(), color: Some([8 * id, 12 * id, 0]) };
    LabelSet::new(3, true, (0..3).map(label).collect()).unwrap()
}

/// Reads `bytes` in every way there is; fails by panicking.
fn read_in_every_way(bytes: &[u8]) {
    let _ = peek(bytes).map_err(|error| error.to_string());
    if let Ok(picture) = decode_picture(bytes, &LIMITS).map_err(|error| error.to_string()) {
        assert!(picture.size().pixels() <= LIMITS.pixels);
    }
    let sizes = [peek(bytes).map_or(Size::new(1, 1), |header| header.size), Size::new(7, 5)];
    for size in sizes.into_iter().filter(|size| size.pixels() <= LIMITS.pixels) {
        for format in FORMATS {
            let options = MaskOptions { format, resize: Resize::Nearest, instance_edges: true };
            let mask = decode_mask(bytes, &labels(), size, options, &LIMITS);
            if let Ok(mask) = mask.map_err(|error| error.to_string()) {
                assert_eq!(mask.labels.size(), size);
            }
        }
        let _ = decode_instances(bytes, sizes[0], size, &LIMITS).map_err(|error| error.to_string());
    }
}

fn broken(extensions: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (
        prop::sample::select(seeds(extensions)),
        prop::collection::vec(change(), 0..5),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(mut bytes, changes, repaired)| {
            changes.iter().for_each(|change| change.apply(&mut bytes));
            if repaired {
                repair(&mut bytes);
            }
            bytes
        })
}

#[test]
fn every_seed_is_a_picture_as_it_is() {
    let seeds = seeds(&["png", "jpg", "webp"]);
    assert_eq!(seeds.len(), 17);
    for bytes in seeds {
        let size = decode_picture(&bytes, &LIMITS).unwrap().size();
        assert!(size.pixels() > 0);
        let mut repaired = bytes.clone();
        repair(&mut repaired);
        assert_eq!(repaired, bytes, "there was nothing to repair");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_png_is_answered(bytes in broken(&["png"])) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn a_broken_jpeg_is_answered(bytes in broken(&["jpg"])) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn a_broken_webp_is_answered(bytes in broken(&["webp"])) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn rubbish_behind_any_magic_is_answered(
        magic in prop::sample::select(vec![
            b"".as_slice(),
            b"\x89PNG\r\n\x1a\n",
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x04\0\0\0\x04",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xe0\0\x10JFIF\0",
            b"RIFF\xff\0\0\0WEBPVP8 ",
            b"RIFF\xff\0\0\0WEBPVP8L",
            b"RIFF\xff\0\0\0WEBPVP8X",
        ]),
        rubbish in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = [magic, &rubbish].concat();
        read_in_every_way(&bytes);
        repair(&mut bytes);
        read_in_every_way(&bytes);
    }
}
