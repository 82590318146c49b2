//! The metadata at the end of a file: its schema, and where its columns are.

use super::code;
use super::pages::Column;
use super::thrift::Fields;

/// One element of the schema: name, repetition, number of children, and what it is.
struct Element {
    name: &'static str,
    repetition: Option<i32>,
    children: i32,
    kind: Option<i32>,
    meaning: Option<(i32, Meaning)>,
}

enum Meaning {
    Text,
    List,
    Unsigned(u8),
}

fn schema(bits: usize) -> [Element; 5] {
    let element = |name, repetition, children, kind, meaning| Element {
        name,
        repetition,
        children,
        kind,
        meaning,
    };
    let unsigned = if bits == 16 {
        code::UINT_16
    } else {
        code::UINT_32
    };
    let text = Some((code::UTF8, Meaning::Text));
    let list = Some((code::LIST, Meaning::List));
    let id = Some((unsigned, Meaning::Unsigned(bits as u8)));
    let optional = Some(code::OPTIONAL);
    [
        element("schema", None, 2, None, None),
        element("text", optional, 0, Some(code::BYTE_ARRAY), text),
        element("input_ids", optional, 1, None, list),
        element("list", Some(code::REPEATED), 1, None, None),
        element("element", optional, 0, Some(code::INT32), id),
    ]
}

fn write_element(fields: &mut Fields<'_>, element: &Element) {
    if let Some(kind) = element.kind {
        fields.i32(1, kind);
    }
    if let Some(repetition) = element.repetition {
        fields.i32(3, repetition);
    }
    fields.text(4, element.name);
    if element.children > 0 {
        fields.i32(5, element.children);
    }
    if let Some((converted, meaning)) = &element.meaning {
        fields.i32(6, *converted);
        fields.inner(10, |logical| match meaning {
            Meaning::Text => logical.inner(1, |_| ()),
            Meaning::List => logical.inner(3, |_| ()),
            Meaning::Unsigned(bits) => logical.inner(10, |integer| {
                integer.byte(1, *bits);
                integer.flag(2, false);
            }),
        });
    }
}

/// Returns the metadata of a file, its length and the closing magic number.
pub(super) fn footer(columns: &[Column; 2], rows: usize, bits: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let about: [(i32, &[&str]); 2] = [
        (code::BYTE_ARRAY, &["text"]),
        (code::INT32, &["input_ids", "list", "element"]),
    ];
    let described: Vec<_> = about.iter().zip(columns).collect();
    let sum = |size: fn(&Column) -> usize| columns.iter().map(size).sum::<usize>() as i64;
    Fields::write(&mut out, |file| {
        file.i32(1, 1);
        file.structs(2, &schema(bits), write_element);
        file.i64(3, rows as i64);
        file.structs(4, &[()], |group, ()| {
            group.structs(1, &described, |chunk, &(&(kind, path), column)| {
                chunk.i64(2, column.dictionary.unwrap_or(column.first) as i64);
                chunk.inner(3, |data| {
                    data.i32(1, kind);
                    data.i32s(2, column.encodings);
                    data.texts(3, path);
                    data.i32(4, column.codec);
                    data.i64(5, column.values as i64);
                    data.i64(6, column.plain as i64);
                    data.i64(7, column.compressed as i64);
                    data.i64(9, column.first as i64);
                    if let Some(dictionary) = column.dictionary {
                        data.i64(11, dictionary as i64);
                    }
                });
            });
            group.i64(2, sum(|column| column.plain));
            group.i64(3, rows as i64);
        });
        file.text(6, "behemoth-gen");
    });
    let length = out.len() as u32;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(super::MAGIC);
    out
}
