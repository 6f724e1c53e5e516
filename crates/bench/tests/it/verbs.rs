//! Every verb over small stores.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

fn bench(words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_annals-bench")).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn succeeded(words: &[&str]) -> String {
    let (is_success, said) = bench(words);
    assert!(is_success, "annals-bench {}\n{said}", words.join(" "));
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn open_has_a_figure_for_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (kept, json) = (directory.path().join("kept"), directory.path().join("figures.json"));
    let words = [
        "open",
        "--events",
        "1000",
        "--shapes",
        "tenth",
        "--runs",
        "1",
        "--kills",
        "1",
        "--segment-bytes",
        "65536",
        "--dir",
        text(&kept),
        "--keep",
        "--json",
        text(&json),
    ];
    let said = succeeded(&words);
    for told in ["promised", "not measured", "1,000 events over 100 streams"] {
        assert!(
            said.contains(told),
            "no `{told}` in
{said}"
        );
    }
    let figures: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let cells = figures["cells"].as_array().unwrap();
    assert_eq!(cells.iter().map(|cell| &cell["shape"]).collect::<Vec<_>>(), ["tenth"]);
    for cell in cells {
        let rows = cell["rows"].as_array().unwrap();
        let name = |row: &Value| format!("{} {}", row["what"], row["state"]).replace('"', "");
        let expected = ROWS.iter().filter(|row| cfg!(target_os = "linux") || **row != COLD_REBUILD);
        assert_eq!(rows.iter().map(name).collect::<Vec<_>>(), expected.copied().collect::<Vec<_>>());
        assert_eq!(cell["sequential"]["cold"].is_f64(), cfg!(target_os = "linux"), "{cell}");
        for row in rows {
            assert!(row["median_ms"].as_f64().is_some_and(|figure| figure > 0.0), "{row}");
            assert!(row["worst_ms"].as_f64() >= row["median_ms"].as_f64(), "{row}");
            assert_eq!(row["runs"], 1, "{row}");
            if cfg!(target_os = "linux") {
                assert!(row["resident"].as_f64().is_some_and(|bytes| bytes > 0.0), "{row}");
            }
        }
        assert!(cell["sequential"]["two_cores"].as_f64().is_some_and(|rate| rate > 0.0), "{cell}");
        assert!(cell["generated"]["bytes_total"].as_u64().is_some_and(|bytes| bytes > 256_000), "{cell}");
    }
    assert_eq!(figures["criteria"].as_array().unwrap().len(), 8);
    assert_eq!(fs::read_dir(kept).unwrap().count(), 1, "the stores are kept, and none of their copies");
}

/// Where caches can be dropped.
const COLD_REBUILD: &str = "annals from frames, cache dropped";

const ROWS: [&str; 15] = [
    "annals closed, cache warm",
    "annals-read-only closed, cache warm",
    "sqlite closed, cache warm",
    "raw closed, cache warm",
    "annals closed, cache dropped",
    "annals-read-only closed, cache dropped",
    "sqlite closed, cache dropped",
    "raw closed, cache dropped",
    "annals without CHECKPOINT",
    "annals without runs",
    "annals from footers",
    "annals from frames",
    COLD_REBUILD,
    "annals killed at durable",
    "annals killed at written",
];

#[test]
fn get_compares_stores_of_many_segments_and_one() {
    let words = [
        "get",
        "--events",
        "2000",
        "--one-events",
        "500",
        "--gets",
        "2000",
        "--segment-bytes",
        "65536",
        "--json",
    ];
    let figures: Value = serde_json::from_str(&succeeded(&words)).unwrap();
    assert!(figures["segments"].as_u64().is_some_and(|count| count > 1), "{figures}");
    let rows = figures["figures"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["is_there"]).collect::<Vec<_>>(), [true, false]);
    assert!(rows.iter().all(|row| row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0)), "{figures}");
}

#[test]
fn conditions_are_compared_with_appends_without() {
    let words = ["conditions", "--events", "500,3000", "--appends", "5", "--tickets", "2000", "--json"];
    let figures: Value = serde_json::from_str(&succeeded(&words)).unwrap();
    let sizes = figures.as_array().unwrap();
    assert_eq!(sizes.iter().map(|size| size["events"].as_u64().unwrap()).collect::<Vec<_>>(), [500, 3000]);
    for size in sizes {
        let rows = size["conditions"].as_array().unwrap();
        assert!(rows.len() == 6 && rows.iter().all(|row| row["ratio"].as_f64().unwrap() > 0.0), "{size}");
        assert!(size["tickets_per_second"].as_f64().unwrap() > 0.0, "{size}");
    }
}

#[test]
fn a_projection_is_rebuilt_without_a_wrong_read() {
    let words = ["projection", "--events", "5000", "--behind", "500", "--single", "5", "--json"];
    let figures: Value = serde_json::from_str(&succeeded(&words)).unwrap();
    assert!(figures["snapshot_bytes"].as_u64().is_some_and(|bytes| bytes > 264), "{figures}");
    assert!(figures["open_ms"].as_f64().is_some_and(|time| time > 0.0), "{figures}");
    let seen = &figures["rebuilding"];
    assert!(
        seen["reads"].as_u64() >= seen["states"].as_u64() && seen["states"].as_u64() >= Some(2),
        "{figures}"
    );
    assert_eq!(seen["wrong"], 0, "{figures}");
}

#[test]
fn ingest_counts_what_is_written_and_times_appends() {
    let words = [
        "ingest",
        "--events",
        "3000",
        "--segment-bytes",
        "262144",
        "--rounds",
        "1",
        "--appends",
        "32",
        "--filled",
        "1000",
        "--json",
    ];
    let figures: Value = serde_json::from_str(&succeeded(&words)).unwrap();
    let written = &figures["written"];
    assert!(written["log"].as_u64().is_some_and(|bytes| bytes > 3_000 * 256), "{figures}");
    assert!(written["footers"].as_u64().is_some_and(|bytes| bytes > 0), "{figures}");
    assert!(written["checkpoints"].as_u64().is_some_and(|bytes| bytes > 0), "{figures}");
    let latencies = figures["latencies"].as_array().unwrap();
    assert_eq!(latencies.iter().map(|found| &found["callers"]).collect::<Vec<_>>(), [1, 16]);
    for found in latencies {
        assert_eq!(found["appends"], 32, "{found}");
        assert!(found["p99_ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{found}");
    }
}

#[test]
fn a_directory_that_holds_something_is_not_generated_into() {
    let directory = tempfile::tempdir().unwrap();
    let words = ["generate", text(directory.path()), "--events", "10", "--streams", "2"];
    assert!(succeeded(&words).contains("10 events over 2 streams"));
    let (is_success, said) = bench(&words);
    assert!(!is_success && said.contains("holds something already"), "{said}");
}
