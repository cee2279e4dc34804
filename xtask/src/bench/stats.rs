//! Medians, spreads, and ratios of pairs.

/// A median with the lowest and the highest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// The spread of some values; `None` where there are none.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len() % 2 == 1 { upper } else { *values.get(middle.checked_sub(1)?)? };
    let median = f64::midpoint(lower, upper);
    Some(Spread { low: *values.first()?, median, high: *values.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let odd = spread(vec![9.0, 1.0, 4.0]).unwrap();
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 4.0, 9.0));
        assert!((spread(vec![2.0, 1.0]).unwrap().median - 1.5).abs() < 1e-9);
        assert_eq!(spread(vec![f64::NAN]), None);
    }
}
