//! Every metric: its sort, name, unit and meaning, of which a recorder is told when a store is opened.
//!
//! Invariant: what is counted or measured anywhere is listed here, and in docs/metrics.md with the same words.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use Sort::{Counter, Gauge, Histogram};

#[derive(Clone, Copy)]
enum Sort {
    Counter,
    Gauge,
    Histogram,
}

const METRICS: [(Sort, &str, Unit, &str); 30] = [
    (Counter, "annals_appended_events", Unit::Count, "Events appended: counted when they are written."),
    (Counter, "annals_appended_bytes", Unit::Bytes, "Bytes of their frames."),
    (Counter, "annals_syncs", Unit::Count, "Groups that were made durable."),
    (Counter, "annals_rotations", Unit::Count, "Segments that became full and were followed by another."),
    (Counter, "annals_incidents", Unit::Count, "What went wrong beside the appends: see `Stats::incidents`."),
    (Histogram, "annals_group_events", Unit::Count, "Events that were written with one call."),
    (
        Histogram,
        "annals_write_seconds",
        Unit::Seconds,
        "How long it took to write a group that was only written.",
    ),
    (Histogram, "annals_sync_seconds", Unit::Seconds, "How long it took to write and sync a group."),
    (Histogram, "annals_checkpoint_seconds", Unit::Seconds, "How long a checkpoint took."),
    (Gauge, "annals_durable_sequence", Unit::Count, "The newest event that no loss of power takes."),
    (Gauge, "annals_visible_sequence", Unit::Count, "The newest event that readers see."),
    (Gauge, "annals_queue_bytes", Unit::Bytes, "Bytes of frames that are appended and not written."),
    (
        Gauge,
        "annals_subscriptions",
        Unit::Count,
        "Subscriptions that are open, those of cursors and groups included.",
    ),
    (Counter, "annals_cursor_deliveries", Unit::Count, "Events that a cursor delivered."),
    (Counter, "annals_cursor_saves", Unit::Count, "How often a cursor's position was saved in its own log."),
    (Gauge, "annals_cursor_position", Unit::Count, "Up to which event a cursor has saved that all is done."),
    (
        Gauge,
        "annals_cursor_lag_events",
        Unit::Count,
        "Visible events behind a cursor's position, as of its last move.",
    ),
    (
        Gauge,
        "annals_cursor_lag_seconds",
        Unit::Seconds,
        "For how long the first of them has been there, as of the last move.",
    ),
    (
        Counter,
        "annals_group_deliveries",
        Unit::Count,
        "Events that a group handed out, each time that it did.",
    ),
    (Counter, "annals_group_retries", Unit::Count, "Attempts that failed or were given back."),
    (
        Counter,
        "annals_group_parked",
        Unit::Count,
        "Events that were parked, or put aside behind a parked one.",
    ),
    (
        Gauge,
        "annals_group_parked_events",
        Unit::Count,
        "Events that are parked, or wait behind a parked one, now.",
    ),
    (
        Gauge,
        "annals_group_position",
        Unit::Count,
        "Up to which event a group has saved that nothing is open.",
    ),
    (
        Gauge,
        "annals_group_lag_events",
        Unit::Count,
        "Visible events behind a group's position, as of its last save.",
    ),
    (
        Gauge,
        "annals_group_lag_seconds",
        Unit::Seconds,
        "For how long the first of them has been there, as of the last save.",
    ),
    (Counter, "annals_projection_events", Unit::Count, "Events that a projection folded."),
    (
        Counter,
        "annals_projection_rebuilds",
        Unit::Count,
        "How often a projection was folded from the first event on.",
    ),
    (Gauge, "annals_projection_position", Unit::Count, "Up to which event a projection serves."),
    (
        Gauge,
        "annals_projection_lag_events",
        Unit::Count,
        "Visible events behind that, as of when it was last asked or caught up.",
    ),
    (
        Gauge,
        "annals_projection_lag_seconds",
        Unit::Seconds,
        "For how long the first of them has been there, as of then.",
    ),
];

/// Tells the recorder, where there is one.
pub(super) fn describe() {
    for (sort, name, unit, what) in METRICS {
        match sort {
            Counter => describe_counter!(name, unit, what),
            Gauge => describe_gauge!(name, unit, what),
            Histogram => describe_histogram!(name, unit, what),
        }
    }
}
