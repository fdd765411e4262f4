//! How each column is read and how its values are written, decided by its type alone.
//!
//! The rule is the one of the bytes: what the server stores is what the restored server must store. Character columns are
//! read in their own character set, unconverted; what is not plain ASCII in a character set other than UTF-8 goes as
//! hexadecimal, which a server stores into such a column byte for byte. `FLOAT` is read as the double it is, because the
//! text protocol prints only six digits of it. A type that is not in the list is refused.

use super::quoting;

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they come: numbers.
    Number,
    /// In quotes, as they come: dates, times, UUIDs, addresses. Nothing in them needs an escape.
    Quoted,
    /// UTF-8 text as a string.
    Utf8,
    /// ASCII as a string, anything else as hexadecimal: character sets whose first half is ASCII.
    AsciiOrHex,
    /// Hexadecimal: binary values and character sets that are not built upon ASCII.
    Hex,
}

/// A column whose values are in the dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// What is selected for it.
    pub(super) expression: String,
    /// How its values are written.
    pub(super) form: Form,
    /// The most bytes that a value can have.
    pub(super) max_bytes: u64,
}

/// What the catalogue says of a column.
pub(super) struct Described {
    pub(super) name: String,
    /// `DATA_TYPE`.
    pub(super) data_type: String,
    /// `COLUMN_TYPE`.
    pub(super) column_type: String,
    /// `CHARACTER_SET_NAME`.
    pub(super) charset: Option<String>,
    /// `CHARACTER_OCTET_LENGTH`.
    pub(super) octets: u64,
}

/// Character sets in which the bytes below 128 are ASCII, and from which both servers convert them to UTF-8 and back
/// without a change (measured for each).
const ASCII_BASED: &[&str] = &[
    "ascii", "armscii8", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932", "dec8",
    "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u",
    "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "tis620", "ujis",
];

/// The others. In `sjis` a backslash comes back as another character.
const OTHERS: &[&str] = &["ucs2", "utf16", "utf16le", "utf32", "swe7", "sjis"];

/// The largest value that a column can hold.
const LONGEST: u64 = u32::MAX as u64;

/// The column as it is read and written, or why it cannot be.
pub(super) fn plan(column: &Described) -> Result<Column, String> {
    let name = quoting::identifier(&column.name);
    let text = || match column.charset.as_deref() {
        Some("utf8mb4" | "utf8mb3" | "utf8") => Ok(Form::Utf8),
        Some("binary") => Ok(Form::Hex),
        Some(charset) if ASCII_BASED.contains(&charset) => Ok(Form::AsciiOrHex),
        Some(charset) if OTHERS.contains(&charset) => Ok(Form::Hex),
        charset => Err(format!("has the unknown character set {:?}", charset.unwrap_or("none"))),
    };
    let (expression, form, max_bytes) = match column.data_type.to_ascii_lowercase().as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" | "year" => (name, Form::Number, 20),
        "decimal" | "numeric" | "double" | "real" => (name, Form::Number, 512),
        "float" => (format!("({name} * 1e0)"), Form::Number, 512),
        "date" | "time" | "datetime" | "timestamp" | "uuid" | "inet4" | "inet6" => (name, Form::Quoted, 64),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => (name, text()?, column.octets),
        // The value that an invalid assignment leaves behind has index 0 and prints as ''. Where '' is a member too,
        // only the index tells them apart.
        "enum" | "set" if has_empty_member(&column.column_type) => (format!("({name} + 0)"), Form::Number, 20),
        "enum" | "set" => (name, text()?, column.octets),
        "json" => (name, Form::Utf8, LONGEST),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" => (name, Form::Hex, column.octets),
        "longblob" | "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geometrycollection" | "geomcollection" => (name, Form::Hex, LONGEST),
        "bit" => (name, Form::Hex, 8),
        // The driver does not know this type's number.
        "vector" => (format!("CAST({name} AS BINARY)"), Form::Hex, 65536),
        other => return Err(format!("has the unknown type {other:?}")),
    };
    Ok(Column { name: column.name.clone(), expression, form, max_bytes })
}

/// Whether `enum('a','')` has the member `''`.
fn has_empty_member(column_type: &str) -> bool {
    let Some(list) = column_type.find('(').map(|at| &column_type[at + 1..]) else { return false };
    let mut rest = list;
    while let Some(member) = rest.strip_prefix('\'') {
        let mut length = 0;
        let bytes = member.as_bytes();
        while length < bytes.len() {
            match (bytes[length], bytes.get(length + 1)) {
                (b'\'', Some(b'\'')) => length += 2,
                (b'\'', _) => break,
                _ => length += 1,
            }
        }
        if length == 0 {
            return true;
        }
        rest = member.get(length + 1..).unwrap_or_default().strip_prefix(',').unwrap_or_default();
    }
    false
}

/// Appends a value in its form. `Err` says what is wrong with the value.
pub(super) fn write(out: &mut Vec<u8>, form: Form, value: Option<&[u8]>) -> Result<(), &'static str> {
    let Some(value) = value else {
        out.extend_from_slice(b"NULL");
        return Ok(());
    };
    match form {
        // A bare -0 would be read as the integer, which has no sign.
        Form::Number if value == b"-0" => out.extend_from_slice(b"-0e0"),
        Form::Number => out.extend_from_slice(value),
        Form::Quoted => quoting::string(out, value),
        Form::Utf8 => match quoting::utf8(value) {
            Some(true) => quoting::string(out, value),
            Some(false) => quoting::hex(out, value),
            None => return Err("holds bytes that are no text of its character set"),
        },
        Form::AsciiOrHex if value.is_ascii() => quoting::string(out, value),
        Form::AsciiOrHex | Form::Hex => quoting::hex(out, value),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(data_type: &str, column_type: &str, charset: Option<&str>) -> Described {
        Described {
            name: "c`1".into(),
            data_type: data_type.into(),
            column_type: column_type.into(),
            charset: charset.map(str::to_owned),
            octets: 10,
        }
    }

    #[test]
    fn empty_enum_members_are_seen_through_quotes() {
        assert!(has_empty_member("enum('a','')"));
        assert!(has_empty_member("enum('','b')"));
        assert!(has_empty_member("set('it''s','','c')"));
        assert!(!has_empty_member("enum('it''s','a,''','c')"));
        assert!(!has_empty_member("enum('''')"));
        assert!(!has_empty_member("int(11)"));
    }

    #[test]
    fn unknown_types_and_character_sets_are_refused() {
        assert!(plan(&described("xml", "xml", None)).unwrap_err().contains("xml"));
        assert!(plan(&described("text", "text", Some("klingon8"))).unwrap_err().contains("klingon8"));
        assert!(plan(&described("text", "text", None)).is_err());
    }

    #[test]
    fn types_decide_how_values_are_read_and_written() {
        let form = |ty: &str, charset: Option<&str>| plan(&described(ty, ty, charset)).unwrap().form;
        assert_eq!(form("varchar", Some("latin1")), Form::AsciiOrHex);
        assert_eq!(form("varchar", Some("utf8mb4")), Form::Utf8);
        assert_eq!(form("varchar", Some("ucs2")), Form::Hex);
        assert_eq!(form("POINT", None), Form::Hex);
        assert_eq!(plan(&described("float", "float", None)).unwrap().expression, "(`c``1` * 1e0)");
        assert_eq!(plan(&described("enum", "enum('','a')", Some("latin1"))).unwrap().form, Form::Number);
    }

    #[test]
    fn values_are_written_in_their_form() {
        let written = |form, value: Option<&[u8]>| {
            let mut out = Vec::new();
            write(&mut out, form, value).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(written(Form::Number, Some(b"-0")).unwrap(), "-0e0");
        assert_eq!(written(Form::Quoted, Some(b"0000-00-00")).unwrap(), "'0000-00-00'");
        assert_eq!(written(Form::AsciiOrHex, Some(b"abc")).unwrap(), "'abc'");
        assert_eq!(written(Form::AsciiOrHex, Some(b"\xe9")).unwrap(), "0xE9");
        assert_eq!(written(Form::Utf8, Some(b"\xed\xa0\x80")).unwrap(), "0xEDA080");
        assert!(written(Form::Utf8, Some(b"\xff")).is_err());
        assert_eq!(written(Form::Hex, None).unwrap(), "NULL");
    }
}
