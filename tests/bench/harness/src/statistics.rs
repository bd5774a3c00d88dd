//! The middle and the ends of a few numbers.

/// What is said of one quantity over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of all `values` that are numbers; nothing where there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { min, median, max })
    }

    /// `median (min–max)`, each by `format`.
    pub(crate) fn show(&self, format: impl Fn(f64) -> String) -> String {
        format!("{} ({}–{})", format(self.median), format(self.min), format(self.max))
    }
}

/// Three digits that count, and thousands apart: `0.0123`, `1.23`, `123`, `1,234,567`.
pub(crate) fn number(value: f64) -> String {
    // Rounded to three digits first, so that 9.999 is 10.0 and not 10.00.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded.abs() < 1000.0 {
        let decimals = match rounded.abs() {
            0.0 => 0,
            size if size < 0.1 => 4,
            size if size < 1.0 => 3,
            size if size < 10.0 => 2,
            size if size < 100.0 => 1,
            _ => 0,
        };
        return format!("{rounded:.decimals$}");
    }
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !shown.ends_with('-') {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Short, for a chart: `12.3`, `123`, `1.23k`, `1.23M`.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 999_500.0 => format!("{}M", number(value / 1e6)),
        size if size >= 999.5 => format!("{}k", number(value / 1e3)),
        _ => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one_and_of_an_even_number_between_two() {
        let odd = Spread::of([9.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 2.0, 9.0));
        let even = Spread::of([4.0, 1.0, 9.0, 2.0]).unwrap();
        assert_eq!((even.min, even.median, even.max), (1.0, 3.0, 9.0));
        let one = Spread::of([7.0]).unwrap();
        assert_eq!((one.min, one.median, one.max), (7.0, 7.0, 7.0));
    }

    #[test]
    fn what_is_no_number_does_not_count() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN, f64::INFINITY]), None);
        assert_eq!(Spread::of([f64::NAN, 3.0]).unwrap().median, 3.0);
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let cases = [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.123_4, "0.123"),
            (0.999_9, "1.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (999.6, "1,000"),
            (1234.4, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
        ];
        for (value, shown) in cases {
            assert_eq!(number(value), shown, "{value}");
        }
    }

    #[test]
    fn in_charts_thousands_and_millions_have_letters() {
        assert_eq!(short(999.4), "999");
        assert_eq!(short(1234.0), "1.23k");
        assert_eq!(short(999_700.0), "1.00M");
        assert_eq!(short(4_321_000.0), "4.32M");
    }
}
