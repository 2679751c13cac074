//! Sums in one fixed order: the same bits on every machine, and quick.
//!
//! Element `i` goes to running sum `i mod 8`; the eight are added by halves at the end. One running sum alone would
//! wait for each addition before the next, eight fill that time and the vector registers.

const LANES: usize = 8;

/// `Σ_i term(columns[..][i])`; 0 for no elements.
///
/// # Panics
/// If the columns differ in length.
#[must_use]
#[inline]
pub fn sum<const COLUMNS: usize>(columns: [&[f64]; COLUMNS], term: impl Fn([f64; COLUMNS]) -> f64) -> f64 {
    let n = columns.first().map_or(0, |column| column.len());
    assert!(columns.iter().all(|column| column.len() == n), "columns of one length");
    let mut lanes = [0.0; LANES];
    let parts = columns.map(<[f64]>::as_chunks::<LANES>);
    for block in 0..n / LANES {
        let rows = parts.map(|(blocks, _)| &blocks[block]);
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += term(rows.map(|row| row[i]));
        }
    }
    for (i, lane) in lanes.iter_mut().enumerate().take(n % LANES) {
        *lane += term(parts.map(|(_, rest)| rest[i]));
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(repeatable(200))]

        #[test]
        fn every_element_counts_once(values in prop::collection::vec((-999i32..999, -999i32..999), 0..50)) {
            let (a, b): (Vec<f64>, Vec<f64>) =
                values.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
            let exact: i32 = values.iter().map(|&(a, b)| a * b).sum();
            prop_assert_eq!(sum([&a, &b], |[a, b]| a * b), f64::from(exact));
        }
    }

    /// Each addend is half a unit in the last place of 1: the order of additions decides the result.
    #[test]
    fn the_order_is_fixed() {
        let tiny = 0.5 * f64::EPSILON;
        let mut values = [tiny; 16];
        values[0] = 1.0;
        // 1 + tiny stays 1 (a tie, to even); all the others are added among themselves.
        assert_eq!(sum([&values], |[v]| v), 1.0 + 14.0 * tiny);
        assert_eq!(values.iter().sum::<f64>(), 1.0);
    }
}
