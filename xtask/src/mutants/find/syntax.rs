//! Small questions about pieces of syntax.

use std::ops::Range;

use syn::{Attribute, BinOp, Expr, ExprBinary, ExprCall, Member, spanned::Spanned};

use crate::mutants::words;

pub(super) fn range(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

pub(super) fn line(node: &impl Spanned) -> usize {
    node.span().start().line
}

pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test");
        is_cfg_test || attribute.path().is_ident("test")
    })
}

pub(super) fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// The parts of a condition, any of which is enough.
pub(super) fn alternatives(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Binary(ExprBinary { left, op: BinOp::Or(_), right, .. }) => {
            [alternatives(left), alternatives(right)].concat()
        }
        _ => vec![condition],
    }
}

/// The last name of a place or a value: `file` of `self.file()`.
pub(super) fn last_name(value: &Expr) -> String {
    match value {
        Expr::Path(path) => path.path.segments.last().map_or_else(String::new, |last| last.ident.to_string()),
        Expr::Field(field) => match &field.member {
            Member::Named(name) => name.to_string(),
            Member::Unnamed(_) => String::new(),
        },
        Expr::MethodCall(call) => call.method.to_string(),
        Expr::Reference(reference) => last_name(&reference.expr),
        Expr::Unary(unary) => last_name(&unary.expr),
        Expr::Paren(paren) => last_name(&paren.expr),
        Expr::Try(attempt) => last_name(&attempt.expr),
        _ => String::new(),
    }
}

pub(super) fn ends_with(path: &syn::Path, names: &[&str]) -> bool {
    let segments = &path.segments;
    segments.len() > 1
        && segments.len() >= names.len()
        && segments.iter().rev().zip(names.iter().rev()).all(|(segment, name)| segment.ident == name)
}

pub(super) fn is_refusal(path: &syn::Path) -> bool {
    words::REFUSALS.iter().any(|names| ends_with(path, names))
}

pub(super) fn is_conversion(path: &syn::Path) -> bool {
    words::CONVERSIONS.iter().any(|names| ends_with(path, names))
}

/// Whether `call` is `Error::bytes(..)`.
pub(super) fn is_bytes_error(call: &Expr) -> bool {
    let Expr::Call(ExprCall { func, .. }) = call else { return false };
    matches!(&**func, Expr::Path(path) if ends_with(&path.path, &["Error", "bytes"]))
}

/// Whether `call` is `Some("why")`: what a function gives that looks for reasons.
pub(super) fn is_reason(call: &ExprCall) -> bool {
    let is_some = matches!(&*call.func, Expr::Path(path) if path.path.is_ident("Some"));
    is_some && matches!(call.args.first(), Some(Expr::Lit(why)) if matches!(why.lit, syn::Lit::Str(_)))
}
