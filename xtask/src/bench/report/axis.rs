//! From values to places on the page, and where the ticks are.

use crate::bench::load::as_f64;

/// The end of an axis of percentiles.
const NINES_MAX: f64 = 99.995;

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// From zero, with round multiples of powers of 1024.
    Binary,
    /// Values must be positive.
    Log,
    /// Percentiles below 100, so that every further nine takes the same space.
    Nines,
}

/// An axis from a lowest to a highest value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that takes in all of the values: from zero where it is linear, over whole decades
    /// where it is not.
    pub(crate) fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values =
            values.filter(|value| value.is_finite() && (*value > 0.0 || scale != Scale::Log));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        match scale {
            _ if low > high => Self { scale: Scale::Linear, low: 0.0, high: 1.0 },
            Scale::Linear | Scale::Binary => {
                Self { scale, low: 0.0, high: high.max(f64::MIN_POSITIVE) * 1.02 }
            }
            Scale::Log => {
                let low = 10_f64.powf((low.log10() + 1e-9).floor());
                let high = 10_f64.powf((high.log10() - 1e-9).ceil());
                Self { scale, low, high: high.max(low * 10.0) }
            }
            Scale::Nines => Self { scale, low: 0.0, high: NINES_MAX },
        }
    }

    /// The axis with a bit more space at its end.
    pub(crate) fn with_room(self, factor: f64) -> Self {
        Self { high: self.high * factor, ..self }
    }

    /// Where a value lies: zero at the low end, one at the high end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.bend(self.low), self.bend(self.high));
        ((self.bend(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The values that are marked.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => multiples(round_step(self.high / 4.0), self.high),
            Scale::Binary => {
                let power = 1024_f64.powf((self.high / 4.0).log(1024.0).floor());
                multiples(round_step(self.high / 4.0 / power) * power, self.high)
            }
            Scale::Log => {
                let exponents = (-9..=15_i32).map(|exponent| 10_f64.powi(exponent));
                exponents
                    .filter(|tick| *tick >= self.low * 0.99 && *tick <= self.high * 1.01)
                    .collect()
            }
            Scale::Nines => vec![50.0, 90.0, 99.0, 99.9, 99.99],
        }
    }

    fn bend(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear | Scale::Binary => value,
            Scale::Log => value.max(self.low).log10(),
            Scale::Nines => -(1.0 - value.min(NINES_MAX) / 100.0).log10(),
        }
    }
}

fn multiples(step: f64, high: f64) -> Vec<f64> {
    let ticks = (0..=8_u32).map(|count| f64::from(count) * step);
    ticks.filter(|tick| *tick <= high).collect()
}

/// The next number of the form 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let steps = [1, 2, 5, 10].map(|count| as_f64(count) * power);
    steps.into_iter().find(|round| *round >= step * 0.999).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_start_at_zero() {
        let axis = Axis::around(Scale::Linear, [3.0, 17.0].into_iter());
        assert_eq!(axis.ticks(), [0.0, 5.0, 10.0, 15.0]);
        assert!(axis.place(17.0) > 0.95 && axis.place(0.0) == 0.0);
    }

    #[test]
    fn ticks_of_bytes_are_round_in_their_unit() {
        let mebibyte = 1024.0 * 1024.0;
        let axis = Axis::around(Scale::Binary, [15.0 * mebibyte].into_iter());
        assert_eq!(axis.ticks(), [0.0, 5.0 * mebibyte, 10.0 * mebibyte, 15.0 * mebibyte]);
    }

    #[test]
    fn a_logarithmic_axis_spans_decades() {
        let axis = Axis::around(Scale::Log, [0.03, 4.0].into_iter());
        assert_eq!(axis.ticks().len(), 4);
        assert!((axis.place(0.1) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn every_nine_takes_the_same_space() {
        let axis = Axis::around(Scale::Nines, [50.0].into_iter());
        let step = axis.place(90.0);
        assert!((axis.place(99.0) - 2.0 * step).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_draw_is_no_trouble() {
        let axis = Axis::around(Scale::Log, std::iter::empty());
        assert!(axis.place(0.5).is_finite());
    }
}
