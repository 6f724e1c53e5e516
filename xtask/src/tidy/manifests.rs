//! Rules for the manifests: the arrows between the layers, and the licence.
//!
//! An arrow between two crates of this repository counts whatever it is for, a test too: what a layer's
//! tests need from above belongs to the tests of the layer above. Of other crates only what is shipped
//! counts, for every platform.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use super::{File, LAYERS, Layer, UNLAYERED, Violation};

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = check_folders(files);
    let root = files.iter().find(|file| file.path == "Cargo.toml");
    let renames = root.map(|root| workspace_renames(&root.text)).unwrap_or_default();
    for file in files.iter().filter(|file| is_package(file)) {
        match DeTable::parse(&file.text) {
            Ok(table) => {
                violations.extend(Manifest { file, table: table.get_ref(), renames: &renames }.check())
            }
            Err(error) => violations.push(Violation::new(&file.path, 1, error.message())),
        }
    }
    violations
}

fn is_package(file: &File) -> bool {
    file.name() == "Cargo.toml" && file.is_below(&["crates/", "xtask/", "fuzz/"])
}

/// Every folder in crates/ is a package.
fn check_folders(files: &[File]) -> Vec<Violation> {
    let folders: BTreeSet<_> =
        files.iter().filter_map(|file| Some(file.path.strip_prefix("crates/")?.split_once('/')?.0)).collect();
    let manifests = folders.into_iter().map(|folder| format!("crates/{folder}/Cargo.toml"));
    manifests
        .filter(|manifest| !files.iter().any(|file| file.path == *manifest))
        .map(|manifest| Violation::new(&manifest, 1, "a folder in crates/ is a package"))
        .collect()
}

/// The packages behind the names of `[workspace.dependencies]` that are not their own.
fn workspace_renames(root: &str) -> BTreeMap<String, String> {
    let Ok(root) = DeTable::parse(root) else { return BTreeMap::new() };
    let dependencies =
        root.get_ref().get("workspace").and_then(|workspace| workspace.get_ref().get("dependencies"));
    let dependencies = dependencies.and_then(|dependencies| dependencies.get_ref().as_table());
    let rename = |(name, value): (&str, &DeValue<'_>)| Some((name.to_owned(), renamed(value)?.to_owned()));
    dependencies
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| rename((name.get_ref(), value.get_ref())))
        .collect()
}

fn renamed<'a>(dependency: &'a DeValue<'_>) -> Option<&'a str> {
    dependency.get("package")?.get_ref().as_str()
}

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Shipped,
    Tests,
}

const SECTIONS: [(&str, Purpose); 3] = [
    ("dependencies", Purpose::Shipped),
    ("build-dependencies", Purpose::Shipped),
    ("dev-dependencies", Purpose::Tests),
];

struct Manifest<'a> {
    file: &'a File,
    table: &'a DeTable<'a>,
    renames: &'a BTreeMap<String, String>,
}

struct Dependency<'a> {
    package: &'a str,
    line: usize,
    purpose: Purpose,
}

impl<'a> Manifest<'a> {
    fn check(&self) -> Vec<Violation> {
        let package = self.table.get("package").and_then(|package| package.get_ref().get("name"));
        let Some(package) = package.and_then(|name| name.get_ref().as_str()) else {
            return vec![Violation::new(&self.file.path, 1, "a package has a name")];
        };
        let mut violations = self.check_licence(package);
        violations.extend(match LAYERS.iter().find(|layer| layer.package == package) {
            Some(layer) => self.check_arrows(layer),
            None if UNLAYERED.contains(&package) => vec![],
            None => vec![self.new_arrow(1, &format!("{package} is in no layer"))],
        });
        violations
    }

    /// A workspace of its own has nothing to inherit and is not published.
    fn check_licence(&self, package: &str) -> Vec<Violation> {
        let licence = self.table.get("package").and_then(|package| package.get_ref().get("license"));
        let inherited = licence.and_then(|licence| licence.get_ref().get("workspace"));
        if self.table.contains_key("workspace")
            || inherited.and_then(|value| value.get_ref().as_bool()) == Some(true)
        {
            vec![]
        } else {
            vec![Violation::new(&self.file.path, 1, format!("{package} says `license.workspace = true`"))]
        }
    }

    fn check_arrows(&self, layer: &Layer) -> Vec<Violation> {
        let is_ours = |package: &str| package.starts_with("annals") || UNLAYERED.contains(&package);
        let is_allowed = |dependency: &Dependency<'_>| match dependency.package {
            package if is_ours(package) => layer.layers.contains(&package),
            package => dependency.purpose == Purpose::Tests || layer.external.contains(&package),
        };
        let dependencies = self.dependencies();
        let refused = dependencies.iter().filter(|dependency| !is_allowed(dependency));
        let arrow = |dependency: &Dependency<'_>| {
            format!("{} may not depend on {}", layer.package, dependency.package)
        };
        refused.map(|dependency| self.new_arrow(dependency.line, &arrow(dependency))).collect()
    }

    fn new_arrow(&self, line: usize, what: &str) -> Violation {
        let how = "if it should: edit the table in xtask/src/tidy.rs and docs/architecture.md, and say why";
        Violation::new(&self.file.path, line, format!("{what}; {how}"))
    }

    /// The dependencies of all sections, those for some platforms included.
    fn dependencies(&self) -> Vec<Dependency<'a>> {
        let targets = self.table.get("target").and_then(|targets| targets.get_ref().as_table());
        let targets = targets.into_iter().flatten().filter_map(|(_, target)| target.get_ref().as_table());
        let tables = [self.table].into_iter().chain(targets);
        tables
            .flat_map(|table| SECTIONS.map(|section| (table, section)))
            .flat_map(|(table, section)| self.section(table, section))
            .collect()
    }

    fn section(&self, table: &'a DeTable<'a>, (name, purpose): (&str, Purpose)) -> Vec<Dependency<'a>> {
        let section = table.get(name).and_then(|section| section.get_ref().as_table());
        section
            .into_iter()
            .flatten()
            .map(|(name, value)| Dependency {
                package: self.package(name.get_ref(), value.get_ref()),
                line: self.line(name.span().start),
                purpose,
            })
            .collect()
    }

    /// The package behind a name.
    fn package(&self, name: &'a str, dependency: &'a DeValue<'a>) -> &'a str {
        renamed(dependency).or_else(|| self.renames.get(name).map(String::as_str)).unwrap_or(name)
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.file.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "license.workspace = true\n";

    /// The violations of a package with these lines after its head, which has three.
    fn found(package: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = '{package}'\n{HEAD}{rest}");
        check(&[File::new("crates/x/Cargo.toml", &text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_found_in_every_section() {
        for section in
            ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
        {
            let found = found(
                "annals-segment",
                &format!("[{section}]\nannals-wire.workspace = true\nannals-index = '1'\n"),
            );
            assert_eq!(found.len(), 1, "{section}: {found:?}");
            assert!(found.iter().all(|what| {
                what.starts_with("crates/x/Cargo.toml:6: annals-segment may not depend on annals-index; ")
                    && what.ends_with(
                        "edit the table in xtask/src/tidy.rs and docs/architecture.md, and say why",
                    )
            }));
        }
    }

    #[test]
    fn every_arrow_that_is_not_in_the_table_is_refused() {
        for (from, to) in LAYERS.iter().flat_map(|from| LAYERS.iter().map(move |to| (from, to))) {
            let found = found(from.package, &format!("[dependencies.{}]\nworkspace = true\n", to.package));
            assert_eq!(
                found.is_empty(),
                from.layers.contains(&to.package),
                "{} on {}",
                from.package,
                to.package
            );
        }
    }

    #[test]
    fn the_layers_stand_in_order() {
        let at = |package: &str| LAYERS.iter().position(|layer| layer.package == package);
        for layer in LAYERS {
            assert!(layer.layers.iter().all(|below| at(below) < at(layer.package)), "{}", layer.package);
        }
    }

    #[test]
    fn an_external_crate_is_refused_unless_it_is_listed_or_for_tests() {
        assert_eq!(found("annals-wire", "[dependencies]\ntracing = '0.1'\n").len(), 1);
        assert_eq!(found("annals-wire", "[target.'cfg(unix)'.dependencies]\nlibc = '0.2'\n").len(), 1);
        assert_eq!(
            found("annals-wire", "[dependencies]\nserde = '1'\n[dev-dependencies]\nproptest = '1'\n"),
            [""; 0]
        );
    }

    #[test]
    fn another_name_hides_no_arrow() {
        assert_eq!(
            found("annals-wire", "[dependencies]\nserde = { version = '1', package = 'tokio' }\n").len(),
            1
        );
        let root =
            File::new("Cargo.toml", "[workspace.dependencies]\nserde = { path = 'x', package = 'annals' }\n");
        let text = format!("[package]\nname = 'annals-wire'\n{HEAD}[dependencies]\nserde.workspace = true\n");
        assert_eq!(check(&[root, File::new("crates/wire/Cargo.toml", &text)]).len(), 1);
    }

    #[test]
    fn a_package_in_no_layer_is_found_and_xtask_needs_none() {
        assert_eq!(found("annals-common", "").len(), 1);
        assert_eq!(found("xtask", "[dependencies]\nannals = '1'\ntokio = '1'\n"), [""; 0]);
    }

    #[test]
    fn a_package_without_the_licence_is_found() {
        let own = "[package]\nname = 'annals-wire'\nlicense = 'MIT'\n";
        assert_eq!(check(&[File::new("crates/wire/Cargo.toml", own)]).len(), 1);
        assert_eq!(check(&[File::new("xtask/Cargo.toml", "[package]\nname = 'xtask'\n")]).len(), 1);
    }

    #[test]
    fn a_folder_without_a_manifest_and_a_broken_manifest_are_found() {
        assert_eq!(check(&[File::new("crates/wire/src/lib.rs", "")]).len(), 1);
        assert_eq!(check(&[File::new("crates/wire/Cargo.toml", "[package")]).len(), 1);
        assert_eq!(check(&[File::new("crates/wire/Cargo.toml", "[dependencies]\n")]).len(), 1);
    }
}
