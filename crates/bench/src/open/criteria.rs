//! The figures that are promised, and whether they hold on this machine.
//!
//! A figure that was not measured neither holds nor does not. Small stores do not decide rates: there, what is
//! the same for every open is most of it.

use serde::Serialize;

use super::{
    CellFigures,
    cell::Shape,
    row::{FOOTERS, FRAMES, FRAMES_COLD, KILLED_DURABLE, KILLED_WRITTEN, WARM},
};
use crate::figures::{shown, table};

const MILLION: u64 = 1_000_000;
const TEN_MILLION: u64 = 10 * MILLION;

/// One promise, of stores of one shape.
#[derive(Debug, Serialize)]
pub(crate) struct Criterion {
    name: &'static str,
    shape: Shape,
    /// What was measured; nothing where it was not.
    figure: Option<f64>,
    limit: f64,
    holds: Option<bool>,
}

/// Whether a figure may be at most, or must be at least, its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtMost,
    AtLeast,
}

/// What one of the promises is of, among the figures of one shape.
type Figure = fn(&[&CellFigures]) -> Option<f64>;

const CRITERIA: [(&str, Bound, f64, Figure); 8] = [
    ("10^6 as closed, of sqlite's time", Bound::AtMost, 0.75, |cells| {
        let cell = of_size(cells, MILLION)?;
        Some(cell.row("annals", WARM)?.median_ms / cell.row("sqlite", WARM)?.median_ms)
    }),
    ("10^7 as closed, of the time at 10^6", Bound::AtMost, 1.5, |cells| {
        let median = |events| Some(of_size(cells, events)?.row("annals", WARM)?.median_ms);
        Some(median(TEN_MILLION)? / median(MILLION)?)
    }),
    ("resident at 10^7, MiB", Bound::AtMost, 16.0, |cells| {
        let row = of_size(cells, TEN_MILLION)?.row("annals", WARM)?;
        Some(row.resident? / f64::from(1 << 20))
    }),
    ("worst after SIGKILL, ms", Bound::AtMost, 50.0, |cells| {
        let killed = [KILLED_DURABLE, KILLED_WRITTEN];
        let rows = cells.iter().flat_map(|cell| killed.map(|state| cell.row("annals", state)));
        rows.flatten().map(|row| row.worst_ms).max_by(f64::total_cmp)
    }),
    ("from footers, events/s, largest", Bound::AtLeast, 5e6, |cells| {
        largest(cells)?.row("annals", FOOTERS)?.events_per_second
    }),
    ("from frames, of reading and checksumming on two cores, largest", Bound::AtLeast, 0.5, |cells| {
        largest(cells)?.of_sequential(FRAMES)
    }),
    ("the same with caches dropped, largest", Bound::AtLeast, 0.5, |cells| {
        largest(cells)?.of_sequential(FRAMES_COLD)
    }),
    ("bytes an event beyond the payload, largest", Bound::AtMost, 200.0, |cells| {
        Some(largest(cells)?.generated.bytes_per_event_beyond_payload)
    }),
];

/// What became of the promises.
pub(super) fn of(cells: &[CellFigures]) -> Vec<Criterion> {
    let mut criteria = Vec::new();
    for (name, bound, limit, figure) in CRITERIA {
        for shape in [Shape::TenThousand, Shape::Tenth] {
            let of_shape: Vec<_> = cells.iter().filter(|cell| cell.shape == shape).collect();
            let figure = if of_shape.is_empty() { continue } else { figure(&of_shape) };
            let holds = figure.map(|figure| holds(figure, bound, limit));
            criteria.push(Criterion { name, shape, figure, limit, holds });
        }
    }
    criteria
}

fn holds(figure: f64, bound: Bound, limit: f64) -> bool {
    match bound {
        Bound::AtMost => figure <= limit,
        Bound::AtLeast => figure >= limit,
    }
}

fn of_size<'a>(cells: &[&'a CellFigures], events: u64) -> Option<&'a CellFigures> {
    cells.iter().copied().find(|cell| cell.events() == events)
}

fn largest<'a>(cells: &[&'a CellFigures]) -> Option<&'a CellFigures> {
    cells.iter().copied().max_by_key(|cell| cell.events())
}

/// The promises as a table.
pub(super) fn text(criteria: &[Criterion]) -> String {
    let rows = criteria.iter().map(|criterion| {
        let verdict = match criterion.holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "not measured",
        };
        let figure = shown(criterion.figure.unwrap_or(f64::NAN));
        [
            criterion.name.to_owned(),
            criterion.shape.name().to_owned(),
            figure,
            shown(criterion.limit),
            verdict.to_owned(),
        ]
    });
    table(["promised", "shape", "measured", "limit", "here"], rows).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_from_its_own_side() {
        assert!(holds(0.7, Bound::AtMost, 0.75) && holds(0.75, Bound::AtMost, 0.75));
        assert!(!holds(0.76, Bound::AtMost, 0.75) && !holds(f64::NAN, Bound::AtMost, 0.75));
        assert!(holds(6e6, Bound::AtLeast, 5e6) && !holds(4e6, Bound::AtLeast, 5e6));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(of(&[]).is_empty());
        let criterion = Criterion { name: "x", shape: Shape::Tenth, figure: None, limit: 1.0, holds: None };
        assert!(text(&[criterion]).contains("not measured"));
    }
}
