//! Codes of enumerations in Parquet's metadata.

pub(super) const BYTE_ARRAY: i32 = 6;
pub(super) const INT32: i32 = 1;
pub(super) const OPTIONAL: i32 = 1;
pub(super) const REPEATED: i32 = 2;
pub(super) const UTF8: i32 = 0;
pub(super) const LIST: i32 = 3;
pub(super) const UINT_16: i32 = 12;
pub(super) const UINT_32: i32 = 13;
pub(super) const PLAIN: i32 = 0;
pub(super) const RLE: i32 = 3;
pub(super) const RLE_DICTIONARY: i32 = 8;
pub(super) const UNCOMPRESSED: i32 = 0;
pub(super) const SNAPPY: i32 = 1;
pub(super) const DATA_PAGE: i32 = 0;
pub(super) const DICTIONARY_PAGE: i32 = 2;
