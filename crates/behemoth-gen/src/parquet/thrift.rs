//! Thrift's compact protocol, as far as the metadata of Parquet needs it.

/// The types of the protocol that are written here.
#[derive(Clone, Copy)]
enum Kind {
    True = 1,
    False = 2,
    Byte = 3,
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// Writes the fields of one struct, in ascending order of their ids.
pub(super) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl Fields<'_> {
    /// Appends a struct, whose fields `write` writes.
    pub(super) fn write(out: &mut Vec<u8>, write: impl FnOnce(&mut Fields<'_>)) {
        write(&mut Fields { out, last: 0 });
        out.push(0);
    }

    /// Starts a field. Ids are at most 15 apart in Parquet's structs, so the short form suffices.
    fn field(&mut self, id: u8, kind: Kind) {
        debug_assert!(id > self.last && id - self.last < 16);
        self.out.push(((id - self.last) << 4) | kind as u8);
        self.last = id;
    }

    pub(super) fn flag(&mut self, id: u8, value: bool) {
        self.field(id, if value { Kind::True } else { Kind::False });
    }

    pub(super) fn byte(&mut self, id: u8, value: u8) {
        self.field(id, Kind::Byte);
        self.out.push(value);
    }

    pub(super) fn i32(&mut self, id: u8, value: i32) {
        self.field(id, Kind::I32);
        integer(self.out, i64::from(value));
    }

    pub(super) fn i64(&mut self, id: u8, value: i64) {
        self.field(id, Kind::I64);
        integer(self.out, value);
    }

    pub(super) fn text(&mut self, id: u8, value: &str) {
        self.field(id, Kind::Binary);
        binary(self.out, value);
    }

    pub(super) fn inner(&mut self, id: u8, write: impl FnOnce(&mut Fields<'_>)) {
        self.field(id, Kind::Struct);
        Fields::write(self.out, write);
    }

    pub(super) fn i32s(&mut self, id: u8, values: &[i32]) {
        self.list(id, Kind::I32, values, |out, &value| {
            integer(out, i64::from(value));
        });
    }

    pub(super) fn texts(&mut self, id: u8, values: &[&str]) {
        self.list(id, Kind::Binary, values, |out, value| binary(out, value));
    }

    /// Appends a list of structs; `write` writes the fields of each.
    pub(super) fn structs<T>(&mut self, id: u8, values: &[T], write: impl Fn(&mut Fields<'_>, &T)) {
        self.list(id, Kind::Struct, values, |out, value| {
            Fields::write(out, |fields| write(fields, value));
        });
    }

    fn list<T>(&mut self, id: u8, kind: Kind, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
        self.field(id, Kind::List);
        // The short form of the header; no list of the metadata has more elements.
        debug_assert!(values.len() < 15);
        self.out.push(((values.len() as u8) << 4) | kind as u8);
        for value in values {
            write(self.out, value);
        }
    }
}

/// Appends a number in groups of 7 bits, the lowest first.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, with its sign in the lowest bit.
fn integer(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn binary(out: &mut Vec<u8>, value: &str) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_written_as_the_protocol_says() {
        let mut out = Vec::new();
        Fields::write(&mut out, |fields| {
            fields.i32(1, -1);
            fields.i64(3, 300);
            fields.flag(4, true);
            fields.flag(5, false);
            fields.byte(6, 16);
            fields.text(8, "ab");
            fields.inner(9, |inner| inner.i32(1, 1));
            fields.i32s(10, &[0, 1]);
            fields.texts(11, &["a"]);
            fields.structs(12, &[2], |inner, &value| inner.i32(2, value));
        });
        let expected = [
            0x15, 0x01, 0x26, 0xd8, 0x04, 0x11, 0x12, 0x13, 0x10, 0x28, 0x02, b'a', b'b', 0x1c,
            0x15, 0x02, 0x00, 0x19, 0x25, 0x00, 0x02, 0x19, 0x18, 0x01, b'a', 0x19, 0x1c, 0x25,
            0x04, 0x00, 0x00,
        ];
        assert_eq!(out, expected);
    }
}
