//! What many measurements come to, and how numbers are shown.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people: none has more digits than a float"
)]

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

/// Measurements of one thing, in order of size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

impl Samples {
    /// The smallest sample that `percent` of all do not exceed (the nearest rank); NaN where there is none.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).or(self.0.last()).copied().unwrap_or(f64::NAN)
    }

    /// The middle one, or the mean of the middle two.
    pub(crate) fn median(&self) -> f64 {
        let upper = self.0.len() / 2;
        let lower = self.0.len().saturating_sub(1) / 2;
        match (self.0.get(lower), self.0.get(upper)) {
            (Some(lower), Some(upper)) => (lower + upper) / 2.0,
            _ => f64::NAN,
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// `part` of `whole`; NaN where there is no whole.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

/// How many there are in a second.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with as many digits as say something; a dash for none.
pub(crate) fn shown(figure: f64) -> String {
    match figure.abs() {
        _ if !figure.is_finite() => "-".to_owned(),
        size if size >= 1_000.0 => grouped(figure.round() as u64),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// A table with these columns, of which all but the first are numbers.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let samples: Samples = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [0.0, 1.0, 50.0, 99.0, 100.0].map(|of| samples.percentile(of)),
            [1.0, 1.0, 50.0, 99.0, 100.0]
        );
        let few: Samples = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!([33.0, 34.0, 99.0].map(|of| few.percentile(of)), [1.0, 2.0, 3.0]);
        assert!(Samples::default().percentile(50.0).is_nan());
    }

    #[test]
    fn a_median_is_in_the_middle() {
        let median = |samples: &[f64]| samples.iter().copied().collect::<Samples>().median();
        assert_eq!(
            [median(&[5.0]), median(&[9.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 9.0])],
            [5.0, 2.0, 3.0]
        );
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_least_and_the_greatest_are_the_ends() {
        let samples: Samples = [2.0, 9.0, 1.0].into_iter().collect();
        assert_eq!((samples.least(), samples.greatest(), samples.count()), (1.0, 9.0, 3));
    }

    #[test]
    fn figures_are_shown_with_the_digits_that_count() {
        assert_eq!(
            [0.123, 12.34, 123.4, 1_234.5, f64::NAN].map(shown),
            ["0.12", "12.3", "123", "1,235", "-"]
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn nothing_of_nothing_is_no_figure() {
        assert_eq!(ratio(1, 4), 0.25);
        assert!(ratio(1, 0).is_nan());
    }
}
