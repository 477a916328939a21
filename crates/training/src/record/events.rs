//! TensorBoard event files: records of protocol buffers, each with masked CRC-32C checksums around its bytes.
//!
//! The format is that of TensorFlow's `record_writer.h` and `event.proto`. Only what is written here is known here:
//! scalars and PNG images.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// An event file that is being written.
pub struct EventFile {
    file: File,
}

/// A PNG with the size that its header says.
#[derive(Clone, Copy, Debug)]
pub struct EncodedImage<'a> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The file's bytes.
    pub png: &'a [u8],
}

impl EventFile {
    /// Begins a new file in `folder`, named as TensorBoard looks for it. `seconds` is the time since 1970.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(folder: &Path, seconds: f64) -> io::Result<Self> {
        let mut events = Self { file: new_file(folder, seconds)? };
        let mut event = Message::default();
        event.double(1, seconds).bytes(3, b"brain.Event:2");
        events.record(&event)?;
        Ok(events)
    }

    /// Writes scalars of one step, by tag.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars(&mut self, seconds: f64, step: u64, values: &[(String, f32)]) -> io::Result<()> {
        let mut summary = Message::default();
        for (tag, value) in values {
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes()).float(2, *value);
            summary.message(1, &entry);
        }
        self.event(seconds, step, &summary)
    }

    /// Writes an image.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn image(&mut self, seconds: f64, step: u64, tag: &str, image: EncodedImage<'_>) -> io::Result<()> {
        let mut message = Message::default();
        message.varint(1, image.height as u64).varint(2, image.width as u64);
        message.varint(3, 3).bytes(4, image.png); // three channels: RGB
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes()).message(4, &message);
        let mut summary = Message::default();
        summary.message(1, &entry);
        self.event(seconds, step, &summary)
    }

    fn event(&mut self, seconds: f64, step: u64, summary: &Message) -> io::Result<()> {
        let mut event = Message::default();
        event.double(1, seconds).varint(2, step).message(5, summary);
        self.record(&event)
    }

    /// One write for a whole record, so that a killed process leaves at most one record cut off at the end.
    fn record(&mut self, message: &Message) -> io::Result<()> {
        let length = (message.0.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(message.0.len() + 16);
        record.extend(length);
        record.extend(masked_checksum(&length).to_le_bytes());
        record.extend(&message.0);
        record.extend(masked_checksum(&message.0).to_le_bytes());
        self.file.write_all(&record)
    }
}

/// The number at the end tells apart processes that begin within one second.
fn new_file(folder: &Path, seconds: f64) -> io::Result<File> {
    let mut number = 0;
    loop {
        let name = format!("events.out.tfevents.{:010}.spadework.{number}", seconds as u64);
        match File::options().create_new(true).append(true).open(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return opened,
        }
    }
}

/// A checksum of bytes that may themselves hold checksums.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protocol buffer message, written field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u8, value: u64) -> &mut Self {
        self.key(field, 0);
        self.raw_varint(value);
        self
    }

    fn double(&mut self, field: u8, value: f64) -> &mut Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u8, value: &[u8]) -> &mut Self {
        self.key(field, 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn message(&mut self, field: u8, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }

    fn float(&mut self, field: u8, value: f32) -> &mut Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn key(&mut self, field: u8, wire_type: u8) {
        self.0.push(field << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_masked_as_tensorflow_masks_it() {
        // The first eight bytes of every event file of TensorFlow 2 whose first event has 24 bytes, and their checksum.
        assert_eq!(masked_checksum(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    /// What `tensorboard.summary.writer.record_writer` and `event_pb2` write for the same three events.
    const TENSORBOARD: &str = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c\
        1a00000000000000129bd82d09000000000000f83f10ac022a0c0a0a0a0347414e150000803e82b4f46a\
        2600000000000000734fe30009000000000000f83f10ac022a180a160a0770726576696577220b0802100318032203706e676eb739e7";

    #[test]
    fn a_file_has_the_bytes_that_tensorboard_writes() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 1.5).unwrap();
        events.scalars(1.5, 300, &[("GAN".to_owned(), 0.25)]).unwrap();
        let image = EncodedImage { width: 3, height: 2, png: b"png" };
        events.image(1.5, 300, "preview", image).unwrap();
        let written =
            std::fs::read(folder.path().join("events.out.tfevents.0000000001.spadework.0")).unwrap();
        let hexadecimal: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hexadecimal, TENSORBOARD);
    }

    #[test]
    fn two_files_of_one_second_have_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        EventFile::create(folder.path(), 1.0).unwrap();
        EventFile::create(folder.path(), 1.5).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_number_is_written_seven_bits_at_a_time() {
        let mut message = Message::default();
        message.varint(2, 300);
        assert_eq!(message.0, [0x10, 0xac, 0x02]);
    }
}
