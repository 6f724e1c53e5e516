//! The walk over a source's syntax: what each piece of it means for the finder.

use std::ops::Range;

use syn::{
    Arm, BinOp, Block, Expr, ExprArray, ExprBinary, ExprCall, ExprClosure, ExprForLoop, ExprIf, ExprLoop,
    ExprMatch, ExprMethodCall, ExprStruct, ExprWhile, ImplItemFn, ItemFn, ItemMod, Member, Pat, Stmt,
    visit::{self, Visit},
};

use super::{
    Finder, Scope,
    syntax::{
        alternatives, has_let, is_bytes_error, is_conversion, is_reason, is_refusal, is_test, last_name,
        line, range,
    },
};
use crate::mutants::{
    site::Change,
    words::{self, Kind},
};

impl Finder<'_> {
    /// A match without a value: an arm that returns can be left out.
    fn unit_match(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Expr(Expr::Match(inner), _) => self.arms(inner, true),
            other => self.visit_stmt(other),
        }
    }

    fn arms(&mut self, inner: &ExprMatch, is_unit: bool) {
        self.visit_expr(&inner.expr);
        let mut guarded: Vec<(String, Range<usize>)> = Vec::new();
        for Arm { pat, body, .. } in &inner.arms {
            let scope = if let Pat::Guard(guard) = pat {
                self.visit_pat(&guard.pat);
                self.visit_expr(&guard.guard);
                guarded.push((self.code(&guard.pat), range(&guard.guard)));
                Some(Scope::Where(vec![(range(&guard.guard), Change::Never)]))
            } else {
                self.visit_pat(pat);
                let code = self.code(pat);
                let same = guarded.iter().rev().find(|(before, _)| *before == code);
                let bare = is_unit.then_some(Scope::BareArm);
                same.map(|(_, guard)| Scope::Where(vec![(guard.clone(), Change::Always)])).or(bare)
            };
            let returned = matches!(**body, Expr::Return(_)).then(|| Scope::Return(range(&**body)));
            let depth = self.scopes.len();
            self.scopes.extend(scope.into_iter().chain(returned));
            self.visit_expr(body);
            self.scopes.truncate(depth);
        }
    }

    /// The body of a loop has no value, and so has a match at its end.
    fn loop_body(&mut self, body: &Block) {
        let (last, before) = match body.stmts.split_last() {
            Some((last, before)) => (Some(last), before),
            None => (None, &body.stmts[..]),
        };
        self.within(Scope::Loop, |finder| {
            before.iter().for_each(|statement| finder.visit_stmt(statement));
            last.into_iter().for_each(|last| finder.unit_match(last));
        });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), |finder| visit::visit_item_fn(finder, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), |finder| visit::visit_impl_item_fn(finder, item));
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let mut passed = None;
        let last = block.stmts.len().saturating_sub(1);
        for (at, statement) in block.stmts.iter().enumerate() {
            match passed.clone().filter(|_| at == last) {
                Some(range) => {
                    let scope = Scope::Where(vec![(range, Change::Always)]);
                    self.within(scope, |finder| finder.visit_stmt(statement));
                }
                None => self.visit_stmt(statement),
            }
            passed = self.early_success(statement).or(passed);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        match statement {
            Stmt::Expr(Expr::Return(_), Some(_)) => {
                let scope = Scope::Return(range(statement));
                self.within(scope, |finder| visit::visit_stmt(finder, statement));
                return;
            }
            Stmt::Expr(Expr::Match(inner), Some(_)) => return self.arms(inner, true),
            Stmt::Expr(Expr::Assign(assign), Some(_)) => {
                let name = last_name(&assign.left);
                if let Some((name, kind)) = words::ASSIGNED.iter().find(|(assigned, _)| *assigned == name) {
                    self.mention(line(&assign.left), name);
                    self.site(statement, *kind, Change::Skip);
                }
            }
            Stmt::Expr(Expr::Try(attempt), Some(_)) => {
                self.unused = Some((range(&*attempt.expr), range(statement)));
                if let Expr::MethodCall(ExprMethodCall { method, args, .. }) = &*attempt.expr
                    && method == "map_err"
                    && args.first().is_some_and(is_bytes_error)
                {
                    // Nobody uses the value: it was decoded to see whether it is whole.
                    self.site(statement, Kind::Evidence, Change::Skip);
                }
            }
            Stmt::Local(local) => {
                self.visit_pat(&local.pat);
                let Some(init) = &local.init else { return };
                match (&*init.expr, &local.pat) {
                    (Expr::Closure(closure), Pat::Ident(name)) => {
                        let scope = Scope::Function(name.ident.to_string());
                        self.within(scope, |finder| finder.visit_expr(&closure.body));
                    }
                    (value, _) => self.visit_expr(value),
                }
                if let Some((_, otherwise)) = &init.diverge {
                    self.within(Scope::Fixed, |finder| finder.visit_expr(otherwise));
                }
                return;
            }
            _ => {}
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.visit_expr(&branch.cond);
        let whole = range(&*branch.cond);
        let has_let = has_let(&branch.cond);
        let parts = alternatives(&branch.cond).into_iter().map(|part| (range(part), Change::Never));
        let then = if has_let { vec![(whole.clone(), Change::NeverLet)] } else { parts.collect() };
        self.within(Scope::Where(then), |finder| finder.visit_block(&branch.then_branch));
        if let Some((_, otherwise)) = &branch.else_branch {
            let scope = if has_let { Scope::Fixed } else { Scope::Where(vec![(whole, Change::Always)]) };
            self.within(scope, |finder| finder.visit_expr(otherwise));
        }
    }

    fn visit_expr_match(&mut self, inner: &'ast ExprMatch) {
        self.arms(inner, false);
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.within(Scope::Function(String::new()), |finder| finder.visit_expr(&closure.body));
    }

    fn visit_expr_for_loop(&mut self, inner: &'ast ExprForLoop) {
        self.visit_expr(&inner.expr);
        self.loop_body(&inner.body);
    }

    fn visit_expr_while(&mut self, inner: &'ast ExprWhile) {
        // What goes round a loop compares places with ends, and decides nothing.
        let function = std::mem::take(&mut self.function);
        self.visit_expr(&inner.cond);
        self.function = function;
        self.loop_body(&inner.body);
    }

    fn visit_expr_loop(&mut self, inner: &'ast ExprLoop) {
        self.loop_body(&inner.body);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        let receiver = last_name(&call.receiver);
        let arguments: Vec<_> = call.args.iter().collect();
        if self.call(call, &name, Some(&receiver), &arguments) || words::is_other(&name, arguments.len()) {
            self.mention(line(&call.method), &name);
        }
        if words::REFUSING.contains(&name.as_str()) && words::call(&name, Some(""), arguments.len()).is_none()
        {
            self.refusal(call, false);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let arguments: Vec<_> = call.args.iter().collect();
        let name = last_name(&call.func);
        if is_reason(call) {
            self.refusal(call, true);
        } else if let Expr::Path(path) = &*call.func {
            // `File::set_len(&file, 3)` is a method's call as well.
            let of_first = arguments
                .split_first()
                .filter(|_| path.path.segments.len() > 1)
                .map(|(first, rest)| (last_name(first), rest));
            let is_site = self.call(call, &name, None, &arguments)
                || of_first.is_some_and(|(first, rest)| self.call(call, &name, Some(&first), rest));
            if is_site || words::is_other(&name, arguments.len()) {
                self.mention(path.path.segments.last().map_or(0, line), &name);
            }
            if words::REFUSING.contains(&name.as_str()) || is_refusal(&path.path) {
                self.refusal(call, false);
            } else if is_conversion(&path.path) {
                self.refusal(call, true);
            }
        } else if is_bytes_error(&call.func) {
            self.refusal(call, true);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_struct(&mut self, made: &'ast ExprStruct) {
        if is_refusal(&made.path) {
            self.refusal(made, false);
        }
        for field in made.fields.iter().filter(|_| made.path.is_ident("NewFrame")) {
            if matches!(&field.member, Member::Named(name) if name == words::WITNESS_FIELD) {
                self.site(&field.expr, Kind::Evidence, Change::Nothing);
            }
        }
        visit::visit_expr_struct(self, made);
    }

    /// A list of witnesses: places, each with the words for it.
    fn visit_expr_array(&mut self, array: &'ast ExprArray) {
        for element in &array.elems {
            let Expr::Tuple(pair) = element else { continue };
            if let (2, Some(place), Some(Expr::Lit(_))) =
                (pair.elems.len(), pair.elems.first(), pair.elems.last())
            {
                self.site(place, Kind::Evidence, Change::Nothing);
            }
        }
        visit::visit_expr_array(self, array);
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let change = match binary.op {
            BinOp::Eq(_) | BinOp::Le(_) | BinOp::Ge(_) => Some(Change::Always),
            BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Gt(_) => Some(Change::Never),
            _ => None,
        };
        if let Some(change) = change.filter(|_| words::is_deciding(self.path, &self.function)) {
            self.site(binary, Kind::Evidence, change);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A function that is named and not called is not understood.
        let last = path.segments.last().map(|last| (line(&last.ident), last.ident.to_string()));
        if let Some((line, name)) = last.filter(|(_, name)| !words::is_called(name)) {
            self.mention(line, &name);
        }
        visit::visit_path(self, path);
    }
}
