//! The encoding of TensorBoard's event files: protocol buffers in the framing of TFRecord.
//!
//! Written by hand: it takes two forms of numbers, and a generator of code would be a larger dependency than this file. Field
//! numbers are those of `event.proto`, `summary.proto` and the plugin's `plugin_data.proto` of TensorBoard.

use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;

/// CRC32C.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The wire types of protocol buffers.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// A message of protocol buffers under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // The low seven bits.
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    /// Adds a whole number.
    pub(super) fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    /// Adds a number in double precision.
    pub(super) fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a number in single precision.
    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a text.
    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message.
    pub(super) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Appends the message to `records` as a TFRecord: its length and the bytes, each with a checksum.
    pub(super) fn frame(&self, records: &mut Vec<u8>) {
        let length = (self.0.len() as u64).to_le_bytes();
        records.extend(length);
        records.extend(masked_crc(&length).to_le_bytes());
        records.extend(&self.0);
        records.extend(masked_crc(&self.0).to_le_bytes());
    }
}

/// The checksum of TFRecord: rotated and shifted, since a CRC of data that hold CRCs is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// `tensorboard.Event` at a time in seconds since 1970.
pub(super) fn event(time: f64) -> Message {
    Message::default().double(1, time)
}

/// The first event of a file: the version of the format.
pub(super) fn file_version(time: f64) -> Message {
    event(time).text(3, "brain.Event:2")
}

/// The event that a run starts at the step 0: what earlier files have of it is void.
pub(super) fn session_start(time: f64) -> Message {
    const START: u64 = 1;
    event(time).message(7, &Message::default().int(1, START))
}

/// A number under a tag. In single precision, as other writers do, so that every reader of event files reads it.
#[expect(clippy::cast_possible_truncation, reason = "the format's scalars are in single precision")]
pub(super) fn scalar(time: f64, step: u32, tag: &str, value: f64) -> Message {
    let value = Message::default().text(1, tag).float(2, value as f32);
    event(time).int(2, step.into()).message(5, &Message::default().message(1, &value))
}

/// An event of the plugin `hparams`: `field` of `HParamsPluginData`.
fn hparams(time: f64, tag: &str, field: u64, content: &Message) -> Message {
    let content = Message::default().int(1, 0).message(field, content);
    let plugin = Message::default().text(1, "hparams").message(2, &content);
    let metadata = Message::default().message(1, &plugin);
    let value = Message::default().text(1, tag).message(9, &metadata);
    event(time).message(5, &Message::default().message(1, &value))
}

/// The settings of a run for the table of TensorBoard, `HPARAMS`.
pub(super) fn session_start_info<'s>(
    time: f64,
    group: &str,
    settings: impl Iterator<Item = (&'s String, &'s Value)>,
) -> Message {
    let mut info = Message::default();
    for (key, value) in settings {
        let value = match value {
            Value::Bool(value) => Message::default().int(4, (*value).into()),
            Value::Number(value) => Message::default().double(2, value.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Message::default().text(3, text),
            other => Message::default().text(3, &other.to_string()),
        };
        info = info.message(1, &Message::default().text(1, key).message(2, &value));
    }
    let info = info.text(4, group).double(5, time);
    hparams(time, "_hparams_/session_start_info", 3, &info)
}

/// How a run ended, for the same table.
pub(super) fn session_end_info(time: f64, status: u64) -> Message {
    let info = Message::default().int(1, status).double(2, time);
    hparams(time, "_hparams_/session_end_info", 4, &info)
}

#[cfg(test)]
mod tests {
    use super::{Message, masked_crc};

    #[test]
    fn numbers_and_checksums_have_the_bytes_of_the_specifications() {
        // 150 and "testing": the examples of the documentation of protocol buffers.
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, b"\x12\x07testing");
        // RFC 3720, section B.4: the CRC32C of 32 zeros is 8a9136aa.
        assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
    }
}
