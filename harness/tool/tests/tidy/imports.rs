//! Finds out which file of a crate imports which.
//! An import leads to the file that has the item: an item that a `mod.rs` only re-exports (`pub use`) belongs to the file below
//! it. Unit tests are left out, as they may use anything.

use std::collections::{BTreeMap, BTreeSet};

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ItemMod, ItemUse, Macro, Token, UseTree, Visibility};

/// Module names, from the crate down.
type Path = Vec<String>;

/// The files that each file imports, all named from the crate's `src` down; `files` are their names and texts. Programs of a
/// crate call it by its `name`.
pub(crate) fn imports<'t>(name: &str, files: &[(&'t str, &'t str)]) -> BTreeMap<&'t str, BTreeSet<&'t str>> {
    let root = if files.iter().any(|(file, _)| *file == "lib.rs") { "lib.rs" } else { "main.rs" };
    let modules = Modules(files.iter().map(|(file, text)| Module::read(name, root, file, text)).collect());
    let of = |module: &Module<'t>| {
        let imported = module.imported().filter_map(|path| modules.file_of(path, MOST_HANDS));
        imported.filter(|file| *file != module.file).collect()
    };
    modules.0.iter().map(|module| (module.file, of(module))).collect()
}

/// How often an item may be re-exported.
const MOST_HANDS: u32 = 8;

struct Modules<'t>(Vec<Module<'t>>);

impl<'t> Modules<'t> {
    /// The file that has the item of a path.
    fn file_of(&self, path: &[String], most_hands: u32) -> Option<&'t str> {
        let find = |len: usize| self.0.iter().find(|module| module.path == path[..len]);
        let (len, module) = (0..=path.len()).rev().find_map(|len| Some((len, find(len)?)))?;
        let handed_on = path.get(len).and_then(|item| module.handed_on.get(item)).filter(|_| most_hands > 0);
        handed_on.and_then(|path| self.file_of(path, most_hands - 1)).or(Some(module.file))
    }
}

struct Module<'t> {
    file: &'t str,
    path: Path,
    /// Items from elsewhere that others may name by this module.
    handed_on: BTreeMap<String, Path>,
    /// Paths that this file uses itself.
    named: BTreeSet<Path>,
    /// The first words of paths in the code: a re-exported item that is also used here counts as imported.
    words: BTreeSet<String>,
}

impl<'t> Module<'t> {
    fn read(name: &str, root: &str, file: &'t str, text: &str) -> Self {
        let parsed = syn::parse_file(text).expect("Rust");
        let own = file.strip_suffix(".rs").expect("Rust");
        let parts = own.split('/').filter(|part| *part != "mod").map(str::to_owned);
        let path: Path = if file == root { Vec::new() } else { parts.collect() };
        // A program beside a library begins at the top, too.
        let base = if file == "main.rs" { Vec::new() } else { path.clone() };
        let is_child = |item: &syn::Item| matches!(item, syn::Item::Mod(module) if module.content.is_none());
        let children = parsed.items.iter().filter(|item| is_child(item)).map(|item| match item {
            syn::Item::Mod(module) => module.ident.to_string(),
            _ => String::new(),
        });
        let children = children.collect();
        let mut reader = Reader { name, children, base, depth: 0, module: Self::of(file, path) };
        reader.visit_file(&parsed);
        reader.module
    }

    fn of(file: &'t str, path: Path) -> Self {
        Self { file, path, handed_on: BTreeMap::new(), named: BTreeSet::new(), words: BTreeSet::new() }
    }

    fn imported(&self) -> impl Iterator<Item = &Path> {
        let used = self.handed_on.iter().filter(|(word, _)| self.words.contains(*word)).map(|(_, path)| path);
        self.named.iter().chain(used)
    }
}

/// Reads one file.
struct Reader<'n, 't> {
    /// The name of the crate.
    name: &'n str,
    /// Modules that have files of their own below this one.
    children: BTreeSet<String>,
    base: Path,
    /// How many modules within the file the reader is in.
    depth: usize,
    module: Module<'t>,
}

impl Reader<'_, '_> {
    /// A path from the crate down; none for items of other crates, or of this file.
    fn in_crate(&self, path: &[String]) -> Option<Path> {
        let first = path.first()?;
        if first == "crate" || first == self.name {
            return Some(path[1..].to_vec());
        }
        if self.depth == 0 && self.children.contains(first) {
            return Some([&self.base, path].concat());
        }
        let up = path.iter().take_while(|word| *word == "super").count();
        let rest = &path[up + usize::from(first == "self")..];
        // For modules within a file, `super` stays inside of it.
        let up = up.saturating_sub(self.depth);
        (up > 0 || first == "self").then(|| [&self.base[..self.base.len().saturating_sub(up)], rest].concat())
    }

    fn read_use(&mut self, tree: &UseTree, before: &[String], is_handed_on: bool) {
        let with = |word: String| [before, &[word]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.read_use(&path.tree, &with(path.ident.to_string()), is_handed_on),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.read_use(tree, before, is_handed_on));
            }
            UseTree::Glob(_) => (before.to_vec(), None),
            UseTree::Name(name) if name.ident == "self" => (before.to_vec(), before.last().cloned()),
            UseTree::Name(name) => (with(name.ident.to_string()), Some(name.ident.to_string())),
            UseTree::Rename(rename) => (with(rename.ident.to_string()), Some(rename.rename.to_string())),
        };
        let Some(path) = self.in_crate(&path) else { return };
        match name.filter(|_| is_handed_on) {
            Some(name) => drop(self.module.handed_on.insert(name, path)),
            None => drop(self.module.named.insert(path)),
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'a> Visit<'a> for Reader<'_, '_> {
    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        if !is_for_tests(&module.attrs) {
            self.depth += 1;
            visit::visit_item_mod(self, module);
            self.depth -= 1;
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.read_use(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let words: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.module.words.extend(words.first().cloned());
        self.module.named.extend(self.in_crate(&words));
        visit::visit_path(self, path);
    }

    /// Most macros take a list of expressions.
    fn visit_macro(&mut self, called: &'a Macro) {
        let list = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(called.tokens.clone());
        list.iter().flatten().for_each(|expression| Reader::visit_expr(self, &expression.clone()));
        visit::visit_macro(self, called);
    }
}
