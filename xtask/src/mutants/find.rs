//! Finding the sites of a source by its syntax.
//!
//! A call is a site by its name. A refusal is not switched off where it stands but where it is decided: the
//! finder keeps the conditions on the way down and takes the nearest.
//!
//! Invariant: every word of `words.rs` that the syntax has is mentioned, site or not, so that `tidy` can hold
//! the mentions against the tokens.

mod syntax;
mod visit;

use std::{collections::BTreeSet, ops::Range};

use syn::{Expr, ExprIf, Stmt, spanned::Spanned, visit::Visit as _};

use self::syntax::{has_let, line, range};
use super::{
    site::{Change, Site},
    words::{self, Instead, Kind},
};

/// What a source has.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What can be switched off, in order.
    pub(crate) sites: Vec<Site>,
    /// What refuses and cannot be switched off.
    pub(crate) fixed: Vec<Fixed>,
    /// Words that were understood, each with its line, whatever came of them.
    pub(crate) mentions: Vec<(usize, String)>,
    /// Every function.
    pub(crate) functions: BTreeSet<String>,
}

/// A refusal with nothing around it that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) function: String,
    pub(crate) code: String,
}

/// All that the source `text` at `path` has; what the parser says where it is no source.
pub(crate) fn find(path: &str, text: &str) -> Result<Found, syn::Error> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder {
        path,
        text,
        function: String::new(),
        scopes: Vec::new(),
        unused: None,
        found: Found::default(),
    };
    finder.visit_file(&file);
    let mut found = finder.found;
    found.sites.sort_by(|a, b| {
        (a.range.start, a.range.end, &a.change).cmp(&(b.range.start, b.range.end, &b.change))
    });
    found.sites.dedup_by(|a, b| (&a.range, &a.change) == (&b.range, &b.change));
    Ok(found)
}

/// What stands around a place, from the outside in.
enum Scope {
    /// A function or a closure, by its name: what is outside does not decide what is inside.
    Function(String),
    /// Comes here only where all of these hold.
    Where(Vec<(Range<usize>, Change)>),
    /// Comes here in any case: a `let` without a match.
    Fixed,
    /// A `return`, with its semicolon.
    Return(Range<usize>),
    /// An arm without a condition, of a match without a value.
    BareArm,
    /// The body of a loop, which can go on with the next round.
    Loop,
}

struct Finder<'a> {
    path: &'a str,
    text: &'a str,
    function: String,
    scopes: Vec<Scope>,
    /// A value that nobody uses, and its statement.
    unused: Option<(Range<usize>, Range<usize>)>,
    found: Found,
}

impl Finder<'_> {
    fn code(&self, node: &impl Spanned) -> String {
        let code = self.text.get(range(node)).unwrap_or_default();
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn mention(&mut self, line: usize, word: &str) {
        self.found.mentions.push((line, word.to_owned()));
    }

    fn site(&mut self, node: &impl Spanned, kind: Kind, change: Change) {
        self.site_at(range(node), kind, change);
    }

    fn site_at(&mut self, place: Range<usize>, kind: Kind, change: Change) {
        let before = self.text.get(..place.start).unwrap_or_default();
        let code = self.text.get(place.clone()).unwrap_or_default();
        self.found.sites.push(Site {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            function: self.function.clone(),
            kind,
            code: code.split_whitespace().collect::<Vec<_>>().join(" "),
            range: place,
            change,
        });
    }

    fn within(&mut self, scope: Scope, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        inside(self);
        self.scopes.pop();
    }

    /// What decides whether this place is reached.
    fn decided_by(&self) -> Vec<(Range<usize>, Change)> {
        let (mut returned, mut is_fixed) = (None, false);
        for scope in self.scopes.iter().rev() {
            match (scope, &returned) {
                (Scope::Return(range), _) => returned = Some(range.clone()),
                (Scope::Fixed, _) => is_fixed = true,
                (Scope::Where(conditions), _) if !is_fixed => return conditions.clone(),
                (Scope::BareArm, Some(range)) if !is_fixed => return vec![(range.clone(), Change::Skip)],
                (Scope::Loop, Some(range)) if is_fixed => return vec![(range.clone(), Change::GoOn)],
                (Scope::Function(_), _) => break,
                _ => {}
            }
        }
        Vec::new()
    }

    /// A refusal: a site is what decides it.
    fn refusal(&mut self, node: &impl Spanned, is_conversion: bool) {
        let decided_by = self.decided_by();
        let inner = self.scopes.iter().rev().find_map(|scope| match scope {
            Scope::Function(name) => Some(name.as_str()),
            _ => None,
        });
        let is_refusing = inner.is_some_and(|name| words::REFUSING.contains(&name) || words::is_check(name));
        if decided_by.is_empty() && !is_conversion && !is_refusing {
            let (path, function) = (self.path.to_owned(), self.function.clone());
            self.found.fixed.push(Fixed { path, line: line(node), function, code: self.code(node) });
        }
        for (range, change) in decided_by {
            self.site_at(range, Kind::Evidence, change);
        }
    }

    fn call(&mut self, node: &impl Spanned, name: &str, receiver: Option<&str>, arguments: &[&Expr]) -> bool {
        let Some(call) = words::call(name, receiver, arguments.len()) else { return false };
        let first = arguments.first().map(|first| self.code(*first)).unwrap_or_default();
        let unused = self.unused.take_if(|(value, _)| *value == range(node));
        if let Some((_, statement)) = unused.filter(|_| call.instead == Instead::Success) {
            self.site_at(statement, call.kind, Change::Skip);
            return true;
        }
        let change = match call.instead {
            Instead::Success => Change::Success,
            Instead::Nothing => Change::Nothing,
            Instead::First => Change::Value(first),
            Instead::FirstInOk => Change::Value(format!("::core::result::Result::Ok({first})")),
        };
        self.site(node, call.kind, change);
        true
    }

    fn function(&mut self, name: String, inside: impl FnOnce(&mut Self)) {
        self.found.functions.insert(name.clone());
        let outer = std::mem::replace(&mut self.function, name.clone());
        self.within(Scope::Function(name), inside);
        self.function = outer;
    }

    /// The condition under which `statement` leaves its function with something else than an error.
    fn early_success(&self, statement: &Stmt) -> Option<Range<usize>> {
        let Stmt::Expr(Expr::If(ExprIf { cond, then_branch, else_branch: None, .. }), _) = statement else {
            return None;
        };
        let Some(Stmt::Expr(Expr::Return(returned), _)) = then_branch.stmts.last() else { return None };
        (!has_let(cond) && !self.code(returned).contains("Err")).then(|| range(&**cond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::site::instrument;

    const PATH: &str = "crates/segment/src/layout.rs";

    /// The kind and the code of every site in a function with this body, and the function with all of them.
    fn sites(body: &str) -> (Vec<(Kind, String)>, String) {
        let text = format!("fn continues() {{ {body} }}");
        let found = find(PATH, &text).unwrap();
        assert_eq!(found.fixed, []);
        let instrumented = instrument(&text, (1..).zip(&found.sites));
        let instrumented = instrumented.replace("::annals_wire::mutant::is", "off");
        let instrumented = instrumented.replace("::core::result::Result::", "");
        let instrumented = instrumented.replace("::core::default::Default::default()", "default");
        syn::parse_file(&instrumented).unwrap();
        let inner = instrumented.strip_prefix("fn continues() { ").and_then(|text| text.strip_suffix(" }"));
        (found.sites.into_iter().map(|site| (site.kind, site.code)).collect(), inner.unwrap().to_owned())
    }

    fn instrumented(body: &str) -> String {
        sites(body).1
    }

    #[test]
    fn a_call_gives_success_instead() {
        let (found, text) = sites("file.sync_data().map_err(a)?;");
        assert_eq!(found, [(Kind::Sync, "file.sync_data()".to_owned())]);
        assert_eq!(text, "(if off(1) { Ok(default) } else { file.sync_data() }).map_err(a)?;");
        assert_eq!(instrumented("log.sync()?;"), "if !off(1) { log.sync()?; }");
        assert_eq!(sites("self.directory.sync()").0[0].0, Kind::DirectorySync);
        assert_eq!(sites("File::set_len(&file, 3)").0[0].0, Kind::Length);
        assert_eq!(
            instrumented("self.settle(turn, 3, d)?"),
            "(if off(1) { Ok(turn) } else { self.settle(turn, 3, d) })?"
        );
    }

    #[test]
    fn calls_within_calls_are_sites_of_their_own() {
        let text = instrumented("self.stop_on_error(self.manifest.write(a))");
        let inner = "(if off(2) { Ok(default) } else { self.manifest.write(a) })";
        let whole = "(if off(1) { self.manifest.write(a) } else { self.stop_on_error(";
        assert_eq!(text, format!("{whole}{inner}) }})"));
    }

    #[test]
    fn a_refusal_is_switched_off_by_its_condition() {
        let refuse = "return Err(Error::Lost { path });";
        assert_eq!(
            instrumented(&format!("if a(b) || c {{ {refuse} }}")),
            format!("if ((a(b)) && !off(1)) || ((c) && !off(2)) {{ {refuse} }}")
        );
        assert_eq!(
            instrumented(&format!("if let Some(a) = b {{ {refuse} }}")),
            format!("if !off(1) && let Some(a) = b {{ {refuse} }}")
        );
        assert_eq!(
            instrumented("if a { Ok(()) } else { Err(Error::Lost { path }) }"),
            "if ((a) || off(1)) { Ok(()) } else { Err(Error::Lost { path }) }"
        );
        assert_eq!(
            instrumented("if a { return Ok(()); } Err(Error::Lost { path })"),
            "if ((a) || off(1)) { return Ok(()); } Err(Error::Lost { path })"
        );
    }

    #[test]
    fn a_refusing_arm_is_switched_off_by_its_guard_or_the_one_before() {
        assert_eq!(
            instrumented("match a { Some(b) if c => mismatch(b), _ => Ok(()) }"),
            "match a { Some(b) if ((c) && !off(1)) => mismatch(b), _ => Ok(()) }"
        );
        assert_eq!(
            instrumented("match a { None if c => Ok(()), Some(_) => Ok(()), None => lost(d) }"),
            "match a { None if ((c) || off(1)) => Ok(()), Some(_) => Ok(()), None => lost(d) }"
        );
        let refuse = "return Err(Error::Lost { path });";
        assert_eq!(
            instrumented(&format!("for a in b {{ match a {{ C => {{ {refuse} }} D => e() }} }}")),
            format!("for a in b {{ match a {{ C => {{ if !off(1) {{ {refuse} }} }} D => e() }} }}")
        );
        assert_eq!(
            instrumented(&format!("for a in b {{ let Some(c) = a else {{ {refuse} }}; }}")),
            format!("for a in b {{ let Some(c) = a else {{ if off(1) {{ continue; }} {refuse} }}; }}")
        );
    }

    #[test]
    fn assignments_witnesses_and_comparisons_are_sites() {
        assert_eq!(instrumented("self.stopped = Some(a);"), "if !off(1) { self.stopped = Some(a); }");
        assert_eq!(
            instrumented("[(a.end, \"the header\"), (b, c)]"),
            "[((if off(1) { default } else { a.end }), \"the header\"), (b, c)]"
        );
        assert_eq!(instrumented("a == b && c < d"), "((a == b) || off(1)) && ((c < d) && !off(2))");
    }

    #[test]
    fn a_refusal_that_nothing_decides_is_fixed_and_not_in_what_only_refuses() {
        let fixed = |text: &str| find(PATH, text).unwrap().fixed.len();
        assert_eq!(fixed("fn f() { a.ok_or_else(|| Error::MissingSegment { id }) }"), 1);
        assert_eq!(fixed("fn lost() { Err(Error::Lost { path }) }"), 0);
        assert_eq!(fixed("fn f() { let mismatch = |a| Err(Error::Mismatch { a }); }"), 0);
        assert_eq!(fixed("#[cfg(test)] mod tests { fn f() { Err(Error::Lost { path }) } }"), 0);
    }
}
