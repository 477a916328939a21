//! Whatever a weight file holds, reading it answers: tensors or a sentence, never a panic, and nothing is run.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use spadework_checkpoint::{list_tensors, read_tensors};
use tempfile::TempDir;

/// Bytes that a pickle or a header is made of, beside any: opcodes, braces, lengths.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        prop::sample::select(b"\x80\x02}](.tRqQbcX\x8a\x8b\x85\x86\x87{}[]\",:0\xff\0".to_vec()),
        any::<u8>()
    ]
}

/// Where to write, as shares of the file's first or last part, where the structure is.
fn changes() -> impl Strategy<Value = Vec<(bool, u16, Vec<u8>)>> {
    prop::collection::vec((any::<bool>(), any::<u16>(), prop::collection::vec(byte(), 1..6)), 1..5)
}

fn changed(mut bytes: Vec<u8>, changes: &[(bool, u16, Vec<u8>)]) -> Vec<u8> {
    let part = bytes.len().min(8 << 10);
    for (from_end, share, new) in changes {
        let first = if *from_end { bytes.len() - part } else { 0 };
        let at = first + usize::from(*share) * part / (1 << 16);
        bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_weight_file_is_answered(
        name in prop::sample::select(vec![
            "encoder_zip.pth",
            "encoder_parametrized.pth",
            "oldest_legacy.pth",
            "malicious_legacy.pth",
            "malicious_plain.pth",
            "malicious_zip.pth",
            "folded_encoder.safetensors",
        ]),
        changes in changes(),
    ) {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/checkpoints"));
        let bytes = changed(fs::read(folder.join(name)).unwrap(), &changes);
        let directory = TempDir::new().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let _ = list_tensors(&path).map_err(|error| error.to_string());
        let _ = read_tensors(&path).map_err(|error| error.to_string());
        prop_assert!(!Path::new("a-pickle-was-run").exists());
    }
}
