//! Named columns of numbers as they are sent: a JSON or `MessagePack` object of arrays.
//!
//! A number that is not there, which is any that is not finite, is null. A JSON number is the shortest that reads back
//! as the same double. Also which cells of a matrix have changed, so that no more is sent than that.
use std::fmt::Write;

/// From here on doubles leave whole numbers out, so one may stand for several: such are sent as doubles.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Bytes that a JSON number takes, mostly; more are had when needed.
const USUAL_LENGTH: usize = 12;

/// What a column is called, and whether it holds codes or instants, which are sent without a fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Of letters, digits and underscores, so that nothing in it needs escaping; at most 255 of them.
    text: String,
    whole: bool,
}

impl Name {
    /// Nothing where the text is not made as a name is.
    #[must_use]
    pub fn new(text: &str, whole: bool) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && (1..=255).contains(&text.len())).then(|| Self { text: text.to_owned(), whole })
    }
}

/// A column to send.
pub type Column<'a> = (&'a Name, &'a [f64]);

/// The columns as a JSON object.
#[must_use]
pub fn json(columns: &[Column<'_>]) -> Vec<u8> {
    let cells: usize =
        columns.iter().map(|(name, values)| name.text.len() + USUAL_LENGTH * values.len()).sum();
    let mut out = String::with_capacity(cells);
    for (place, (name, values)) in columns.iter().enumerate() {
        out.push_str(if place == 0 { "{\"" } else { ",\"" });
        out.push_str(&name.text);
        out.push_str("\":");
        for (place, &value) in values.iter().enumerate() {
            out.push(if place == 0 { '[' } else { ',' });
            if !value.is_finite() {
                out.push_str("null");
            } else if let Some(whole) = whole(name, value) {
                let _ = write!(out, "{whole}"); // into memory: it cannot fail
            } else {
                out.push_str(zmij::Buffer::new().format_finite(value));
            }
        }
        out.push_str(if values.is_empty() { "[]" } else { "]" });
    }
    out.push_str(if columns.is_empty() { "{}" } else { "}" });
    out.into_bytes()
}

/// The columns as a `MessagePack` map.
#[must_use]
pub fn msgpack(columns: &[Column<'_>]) -> Vec<u8> {
    let cells: usize = columns.iter().map(|(name, values)| 8 + name.text.len() + 9 * values.len()).sum();
    let mut out = Vec::with_capacity(cells);
    head(&mut out, columns.len(), 0x80, [0xde, 0xdf]);
    for (name, values) in columns {
        match u8::try_from(name.text.len()) {
            Ok(length) if length < 32 => out.push(0xa0 | length),
            Ok(length) => out.extend_from_slice(&[0xd9, length]),
            Err(_) => unreachable!("a name has at most 255 bytes"),
        }
        out.extend_from_slice(name.text.as_bytes());
        head(&mut out, values.len(), 0x90, [0xdc, 0xdd]);
        for &value in *values {
            if !value.is_finite() {
                out.push(0xc0);
            } else if let Some(whole) = whole(name, value) {
                integer(&mut out, whole);
            } else {
                out.push(0xcb);
                out.extend_from_slice(&value.to_be_bytes());
            }
        }
    }
    out
}

/// Which columns differ anywhere, and at which strikes; NaN equals NaN.
///
/// # Panics
/// If both are not of the same length.
#[must_use]
pub fn differing(old: &[f64], new: &[f64], strikes: usize) -> (Vec<usize>, Vec<usize>) {
    assert_eq!(old.len(), new.len(), "two matrices of one shape");
    let mut at = vec![0_u8; strikes];
    let mut columns = Vec::new();
    let rows = old.chunks_exact(strikes.max(1)).zip(new.chunks_exact(strikes.max(1)));
    for (row, (old, new)) in rows.enumerate() {
        let mut any = 0_u8;
        for (at, (old, new)) in at.iter_mut().zip(old.iter().zip(new)) {
            let differs = u8::from(!same(*old, *new));
            *at |= differs;
            any |= differs;
        }
        if any != 0 {
            columns.push(row);
        }
    }
    let strikes = at.iter().enumerate().filter(|(_, differs)| **differs != 0).map(|(strike, _)| strike);
    (columns, strikes.collect())
}

/// Whether two cells hold the same number, or none.
#[allow(clippy::float_cmp)] // any change is one
fn same(old: f64, new: f64) -> bool {
    old == new || (old.is_nan() && new.is_nan())
}

/// The value of a column of whole numbers as such a one.
fn whole(name: &Name, value: f64) -> Option<i64> {
    (name.whole && value.abs() <= LARGEST_WHOLE).then_some(value as i64)
}

/// The head of a `MessagePack` map or array: a short one holds the count itself.
fn head(out: &mut Vec<u8>, count: usize, short: u8, long: [u8; 2]) {
    if count < 16 {
        out.push(short | count as u8);
    } else if let Ok(count) = u16::try_from(count) {
        out.push(long[0]);
        out.extend_from_slice(&count.to_be_bytes());
    } else {
        out.push(long[1]);
        out.extend_from_slice(&(count as u32).to_be_bytes());
    }
}

/// A whole number in as few bytes as it takes.
fn integer(out: &mut Vec<u8>, value: i64) {
    if (-32..128).contains(&value) {
        out.push(value as u8);
        return;
    }
    let (kind, bits) =
        if value < 0 { (0xd0, 65 - value.leading_ones()) } else { (0xcc, 64 - value.leading_zeros()) };
    let power = match bits {
        ..=8 => 0,
        9..=16 => 1,
        17..=32 => 2,
        _ => 3,
    };
    out.push(kind + power);
    out.extend_from_slice(&value.to_be_bytes()[8 - (1 << power)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str, whole: bool) -> Name {
        Name::new(text, whole).expect("a name")
    }

    fn text(columns: &[Column<'_>]) -> String {
        String::from_utf8(json(columns)).expect("text")
    }

    #[test]
    fn what_is_not_there_is_null_and_whole_numbers_have_no_fraction() {
        let (price, code) = (name("price", false), name("code", true));
        let values = [1.0, f64::NAN, -2.5, f64::INFINITY, 1e300, 0.00001];
        assert_eq!(text(&[(&price, &values)]), r#"{"price":[1.0,null,-2.5,null,1e+300,0.00001]}"#);
        let values = [3.0, f64::NAN, -0.0, -7.0, 1_795_193_940_011_382.0, 1e16];
        assert_eq!(text(&[(&code, &values)]), r#"{"code":[3,null,0,-7,1795193940011382,1e+16]}"#);
    }

    #[test]
    fn there_may_be_no_columns_and_no_values() {
        let (a, b) = (name("a", false), name("b", true));
        assert_eq!(text(&[]), "{}");
        assert_eq!(text(&[(&a, &[]), (&b, &[])]), r#"{"a":[],"b":[]}"#);
        assert_eq!(msgpack(&[]), [0x80]);
        assert_eq!(msgpack(&[(&a, &[])]), [0x81, 0xa1, b'a', 0x90]);
    }

    #[test]
    fn lengths_have_the_shortest_head() {
        let values = vec![f64::NAN; 65_536];
        for (count, expected) in [
            (15, &[0x9f][..]),
            (16, &[0xdc, 0, 16]),
            (65_535, &[0xdc, 0xff, 0xff]),
            (65_536, &[0xdd, 0, 1, 0, 0]),
        ] {
            let long = name(&"n".repeat(32), false);
            let found = msgpack(&[(&long, &values[..count])]);
            assert_eq!(&found[..3], [0x81, 0xd9, 32]);
            assert_eq!(&found[35..35 + expected.len()], expected);
            assert_eq!(found.len(), 35 + expected.len() + count);
        }
    }

    #[test]
    fn a_name_needs_no_escaping() {
        for bad in ["", "a\"b", "a b", "é", "a\n", &"n".repeat(256)] {
            assert_eq!(Name::new(bad, false), None, "{bad:?}");
        }
        assert!(Name::new(&"n".repeat(255), true).is_some());
    }

    #[test]
    fn what_has_changed_is_found_and_nan_equals_nan() {
        let old = [1.0, 2.0, f64::NAN, 4.0, 0.0, f64::NAN];
        let new = [1.0, 2.0, f64::NAN, 5.0, -0.0, 6.0];
        assert_eq!(differing(&old, &new, 3), (vec![1], vec![0, 2]));
        assert_eq!(differing(&old, &old, 3), (vec![], vec![]));
        assert_eq!(differing(&[], &[], 0), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn every_number_reads_back_as_itself(values in prop::collection::vec(any::<f64>(), 1..20)) {
            let price = name("price", false);
            let sent = text(&[(&price, &values)]);
            let inner = sent.strip_prefix("{\"price\":[").and_then(|rest| rest.strip_suffix("]}"));
            let read: Vec<&str> = inner.expect("the columns").split(',').collect();
            prop_assert_eq!(read.len(), values.len());
            for (read, value) in read.iter().zip(values) {
                let bits = read.parse::<f64>().map(f64::to_bits);
                prop_assert_eq!(bits.ok(), value.is_finite().then_some(value.to_bits()));
            }
        }
    }
}
