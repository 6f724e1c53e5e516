//! Rules for Rust sources.
//!
//! What is said of code is checked on tokens: a comment or a message may name what code may not.

use super::{
    FILE_SYSTEM, File, IMPURE, LIBRARIES, NAMELESS, PRIMITIVES, PURE, SCHEDULED, UNSAFE, UNSAFE_ROOT,
    Violation,
    paths::{Named, paths},
    tokens::{Token, attributes, parted, tokens},
};

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    sources.flat_map(check_source).chain(check_pure_places(files)).collect()
}

/// A source as the checks see it.
struct Source<'a> {
    file: &'a File,
    tokens: Vec<Token<'a>>,
    /// What is compiled into the crate.
    shipped: Vec<Token<'a>>,
    /// What is compiled for tests only.
    tests: Vec<Token<'a>>,
}

impl<'a> Source<'a> {
    fn new(file: &'a File) -> Self {
        let tokens = tokens(&file.text);
        let (shipped, tests) =
            if is_test(&file.path) { (Vec::new(), tokens.clone()) } else { parted(&tokens) };
        Self { file, tokens, shipped, tests }
    }

    fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation::new(&self.file.path, line, what)
    }

    fn naming<'s>(&'s self, named: &'s [Named], word: &'s str) -> impl Iterator<Item = &'s Named> {
        named.iter().filter(move |named| names(&named.path, word))
    }
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

fn check_source(file: &File) -> Vec<Violation> {
    let source = Source::new(file);
    let checks: [fn(&Source<'_>) -> Vec<Violation>; 9] = [
        check_header,
        check_name,
        check_pure,
        check_file_system,
        check_primitives,
        check_unsafe,
        check_root,
        check_tests,
        check_unfinished,
    ];
    checks.iter().flat_map(|check| check(&source)).collect()
}

fn check_header(source: &Source<'_>) -> Vec<Violation> {
    let has_header = source.file.text.starts_with("//!");
    if has_header { vec![] } else { vec![source.violation(1, "does not begin with `//!`: say what it is")] }
}

fn check_name(source: &Source<'_>) -> Vec<Violation> {
    let name = source.file.name();
    if NAMELESS.contains(&name) {
        vec![source.violation(1, format!("a file is named for what it defines, not `{name}`"))]
    } else {
        vec![]
    }
}

fn check_pure(source: &Source<'_>) -> Vec<Violation> {
    if !source.file.is_below(PURE) {
        return vec![];
    }
    let named = paths(&source.shipped);
    let found = IMPURE.iter().flat_map(|word| source.naming(&named, word));
    found.map(|named| source.violation(named.line, format!("names `{}` in pure code", named.path))).collect()
}

fn check_file_system(source: &Source<'_>) -> Vec<Violation> {
    if !source.file.is_below(LIBRARIES) || source.file.is_below(FILE_SYSTEM) {
        return vec![];
    }
    let named = paths(&source.shipped);
    let found = source.naming(&named, "std::fs");
    found
        .map(|named| source.violation(named.line, format!("names `{}`: files are `Directory`'s", named.path)))
        .collect()
}

/// A lock or thread that the scheduler of `cargo xtask schedules` does not know of would hang it, or hide from it.
fn check_primitives(source: &Source<'_>) -> Vec<Violation> {
    if !source.file.is_below(SCHEDULED) || source.file.is_below(PRIMITIVES) {
        return vec![];
    }
    let named = paths(&source.shipped);
    let found = ["std::sync", "std::thread"].into_iter().flat_map(|word| source.naming(&named, word));
    found
        .map(|named| source.violation(named.line, format!("names `{}`: use `crate::sync`", named.path)))
        .collect()
}

fn check_unsafe(source: &Source<'_>) -> Vec<Violation> {
    if source.file.path == UNSAFE {
        return vec![];
    }
    let found = source.tokens.iter().filter(|token| token.text == "unsafe");
    found.map(|token| source.violation(token.line, format!("`unsafe` stands in {UNSAFE} only"))).collect()
}

fn check_root(source: &Source<'_>) -> Vec<Violation> {
    let forbids = source.file.text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]");
    if is_crate_root(&source.file.path) && source.file.path != UNSAFE_ROOT && !forbids {
        vec![source.violation(1, "a crate's root says `#![forbid(unsafe_code)]`")]
    } else {
        vec![]
    }
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("/src/bin/")
}

fn check_tests(source: &Source<'_>) -> Vec<Violation> {
    let ignored = attributes(&source.tokens).into_iter().filter_map(|attribute| {
        let token = attribute.iter().find(|token| token.text == "ignore")?;
        Some(source.violation(token.line, "an ignored test is no test"))
    });
    let named = paths(&source.tests);
    let sleeping = source.naming(&named, "thread::sleep");
    let sleeping = sleeping.map(|named| source.violation(named.line, "a test that sleeps is slow or wrong"));
    ignored.chain(sleeping).collect()
}

fn check_unfinished(source: &Source<'_>) -> Vec<Violation> {
    let calls = source.tokens.windows(2).filter_map(|pair| match pair {
        [name, bang] if bang.text == "!" => Some(name),
        _ => None,
    });
    calls
        .filter(|name| matches!(name.text, "todo" | "unimplemented"))
        .map(|name| source.violation(name.line, format!("`{}!` is unfinished code", name.text)))
        .collect()
}

/// Pure code that has moved would be guarded no more, and nothing would say so.
fn check_pure_places(files: &[File]) -> Vec<Violation> {
    let empty = PURE.iter().filter(|place| !files.iter().any(|file| file.is_below(&[**place])));
    empty
        .map(|place| Violation::new("xtask/src/tidy.rs", 1, format!("no source at `{place}` to keep pure")))
        .collect()
}

/// Whether `path` has the parts of `word` in it; of a `word` that ends in `::`, with a part behind them.
fn names(path: &str, word: &str) -> bool {
    match word.strip_suffix("::") {
        Some(_) => format!("::{path}").contains(&format!("::{word}")),
        None => format!("::{path}::").contains(&format!("::{word}::")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check_source(&File::new(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_source_without_a_header_is_found() {
        assert_eq!(found("crates/cli/src/read.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(found("crates/cli/src/read.rs", "\n//! Late.\n").len(), 1);
        assert_eq!(found("crates/cli/src/read.rs", "//! Reads.\n"), [""; 0]);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for name in NAMELESS {
            assert_eq!(found(&format!("crates/store/src/read/{name}"), "//! Reads.\n").len(), 1);
        }
    }

    #[test]
    fn pure_code_names_no_file_thread_or_clock() {
        let impure =
            ["std::fs::read(x)", "std::thread::spawn(f)", "std::time::Duration::ZERO", "File::open(x)"];
        let clocks = ["Instant::now()", "time::SystemTime::now()"];
        for code in impure.into_iter().chain(clocks) {
            let text = format!("//! Plans.\nfn f() {{ {code}; }}\n");
            for path in
                ["crates/wire/src/frame.rs", "crates/index/src/query.rs", "crates/checkpoint/src/plan.rs"]
            {
                assert!(
                    found(path, &text).iter().any(|what| what.contains("in pure code")),
                    "{path}: {code}"
                );
            }
            assert_eq!(found("crates/cli/src/read.rs", &text), [""; 0]);
        }
    }

    #[test]
    fn nested_imports_hide_nothing() {
        let text = "//! Bytes.\nuse std::{fmt, time::{\n    Duration}};\n";
        let expected = ["crates/wire/src/id.rs:3: names `std::time::Duration` in pure code"];
        assert_eq!(found("crates/wire/src/id.rs", text), expected);
    }

    #[test]
    fn pure_code_may_speak_of_files_and_its_tests_may_read_them() {
        let text = "//! No std::fs.\nenum Found { File }\n#[cfg(test)]\nmod tests { use std::fs::File; }\n";
        assert_eq!(found("crates/wire/src/id.rs", text), [""; 0]);
        assert_eq!(found("crates/wire/tests/it/golden.rs", "//! Golden.\nuse std::fs;\n"), [""; 0]);
    }

    #[test]
    fn only_the_directory_and_the_platform_call_the_file_system() {
        let text = "//! Logs.\nuse std::{fs, io};\n";
        for path in ["crates/segment/src/log.rs", "crates/store/src/open.rs", "crates/checkpoint/src/load.rs"]
        {
            assert_eq!(found(path, text), [format!("{path}:2: names `std::fs`: files are `Directory`'s")]);
        }
        for path in ["crates/segment/src/directory/disk.rs", "crates/segment/src/platform.rs"] {
            assert_eq!(found(path, text), [""; 0]);
        }
    }

    #[test]
    fn the_store_takes_locks_and_threads_from_one_module() {
        let text = "//! Waits.\nuse std::{fmt, sync::Arc};\nfn f() { std::thread::spawn(g); }\n";
        let path = "crates/store/src/group.rs";
        let expected = ["2: names `std::sync::Arc`", "3: names `std::thread::spawn`"];
        let expected = expected.map(|what| format!("{path}:{what}: use `crate::sync`"));
        assert_eq!(found(path, text), expected);
        for path in
            ["crates/store/src/sync.rs", "crates/store/tests/it/main.rs", "crates/segment/src/space.rs"]
        {
            assert_eq!(found(path, text), [""; 0]);
        }
    }

    #[test]
    fn unsafe_code_stands_in_one_file() {
        let text = "//! Maps.\nfn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(found(UNSAFE, text), [""; 0]);
        for path in
            ["crates/segment/src/log.rs", "crates/wire/tests/it/main.rs", "fuzz/fuzz_targets/frame.rs"]
        {
            assert_eq!(found(path, text), [format!("{path}:3: `unsafe` stands in {UNSAFE} only")]);
        }
    }

    #[test]
    fn a_root_that_does_not_forbid_unsafe_code_is_found() {
        for path in ["crates/wire/src/lib.rs", "xtask/src/main.rs", "crates/cli/src/bin/annals.rs"] {
            assert_eq!(found(path, "//! Bytes.\n// #![forbid(unsafe_code)]\n").len(), 1);
            assert_eq!(found(path, "//! Bytes.\n#![forbid(unsafe_code)]\n"), [""; 0]);
        }
        assert_eq!(found(UNSAFE_ROOT, "//! Files.\n"), [""; 0]);
    }

    #[test]
    fn ignored_and_sleeping_tests_are_found() {
        let ignored = "//! T.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[cfg_attr(x, ignore)]\nfn b() {}\n";
        assert_eq!(found("crates/store/tests/it/main.rs", ignored).len(), 2);
        for import in ["std::thread", "std::{thread::sleep}"] {
            let sleeping = format!(
                "//! T.\n#[cfg(test)]\nmod tests {{ use {import}; fn f() {{ thread::sleep(d); }} }}\n"
            );
            assert!(!found("crates/store/src/read.rs", &sleeping).is_empty());
        }
        assert_eq!(found("crates/store/src/commit.rs", "//! C.\nfn f() { thread::sleep(d); }\n"), [""; 0]);
        assert_eq!(found("crates/store/src/commit.rs", "//! C.\nfn ignore(ignore: u8) {}\n"), [""; 0]);
    }

    #[test]
    fn unfinished_code_is_found() {
        let text = "//! R.\nfn f() { todo!() }\nfn g() { unimplemented!(\"later\") }\nfn todo() {}\n";
        assert_eq!(found("crates/store/src/read.rs", text).len(), 2);
    }

    #[test]
    fn a_pure_place_without_sources_is_found() {
        let there = PURE.iter().filter(|place| !place.contains("index"));
        let there = there.map(|place| File::new(&format!("{place}/there.rs"), ""));
        let moved: Vec<_> = there.collect();
        let found = check_pure_places(&moved);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found.iter().all(|violation| violation.what.contains("crates/index/src/")));
    }
}
