//! Keeps the rooms of the house apart: the table of ARCHITECTURE.md says who may import whom, and is held against the code.
//!
//! A file belongs to the room of its path, `src/mailbox/queue.rs` to `mailbox/queue` where that is a row, else to `mailbox`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The files in which a thread attaches to the interpreter, how often, and why the sixth invariant of ARCHITECTURE.md holds.
const ATTACHES: &[(&str, usize, &str)] = &[
    ("entry/program.rs", 1, "a program's `main`"),
    (
        "facade/generic.rs",
        1,
        "the value of a local future that need not be `Send`",
    ),
    (
        "facade/private/export.rs",
        1,
        "attached already: PyO3 extracts an argument there",
    ),
    ("mailbox/doorbell.rs", 1, "the helper thread"),
    (
        "mailbox/drain.rs",
        1,
        "attached already: the loop's own thread drains",
    ),
    (
        "process.rs",
        3,
        "`tokio::shutdown`, the end of the process, and the thread that looks whether there still is an interpreter",
    ),
    (
        "python_to_rust/task.rs",
        1,
        "attached already: a drop of Python's",
    ),
    (
        "rust_to_python/coroutine.rs",
        1,
        "attached already: a drop of Python's",
    ),
    (
        "rust_to_python/future.rs",
        1,
        "attached already: a drop of Python's",
    ),
    (
        "testing/case.rs",
        3,
        "a thread of a test, or of a test harness",
    ),
    ("testing/outcome.rs", 1, "a thread of a test"),
];

/// A row of the table.
struct Room {
    name: String,
    /// The rooms that it may import, with those inside of them. Of `runtime` that is the trait: a runtime has its own name.
    imports: BTreeSet<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rooms() -> Vec<Room> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    let table = page
        .split("\n## ")
        .find(|section| section.starts_with("The rooms"));
    let rows = table.expect("the page has the table").lines();
    rows.filter_map(|row| {
        let cells: Vec<_> = row.strip_prefix("| `")?.split(" | ").collect();
        let (name, imports) = (cells[0].trim_end_matches('`'), cells[2]);
        let imports = imports.split('`').skip(1).step_by(2).map(str::to_owned);
        Some(Room {
            name: name.to_owned(),
            imports: imports.collect(),
        })
    })
    .collect()
}

/// A file below `src`.
struct Source {
    /// `mailbox/queue.rs`
    path: String,
    code: TokenStream,
}

impl Source {
    /// Its modules: `mailbox`, `queue`.
    fn module(&self) -> Vec<String> {
        let module = self.path.trim_end_matches(".rs");
        module.split('/').map(str::to_owned).collect()
    }

    fn has(&self, words: &[&str]) -> usize {
        let same =
            |tokens: &[TokenTree]| tokens.iter().zip(words).all(|(t, w)| t.to_string() == *w);
        let levels = levels(self.code.clone());
        let all = levels.iter().flat_map(|level| level.windows(words.len()));
        all.filter(|tokens| same(tokens)).count()
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let files = files(&src).into_iter().map(|file| {
        let path = file.strip_prefix(&src).expect("the file lies below src");
        let text = fs::read_to_string(&file).expect("the file can be read");
        Source {
            path: path.to_string_lossy().replace('\\', "/"),
            code: code(&text),
        }
    });
    files.collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file without comments (where links to other rooms are welcome) and without its test modules.
fn code(text: &str) -> TokenStream {
    let file = syn::parse_file(text).expect("the compiler has read the file");
    let is_test = |item: &syn::Item| match item {
        syn::Item::Mod(module) => module
            .attrs
            .iter()
            .any(|attribute| attribute.to_token_stream().to_string() == "# [cfg (test)]"),
        _ => false,
    };
    let items = file.items.iter().filter(|item| !is_test(item));
    items.map(ToTokens::to_token_stream).collect()
}

/// What stands in each pair of brackets, and what stands in none. A macro's tokens are as good as any others.
fn levels(code: TokenStream) -> Vec<Vec<TokenTree>> {
    let level: Vec<_> = code.into_iter().collect();
    let groups = level.iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    });
    let mut all: Vec<_> = groups.flat_map(levels).collect();
    all.push(level);
    all
}

/// The path that begins here, or every path of the tree that does.
fn paths(tokens: &[TokenTree]) -> Vec<Vec<String>> {
    match tokens {
        [TokenTree::Ident(name), rest @ ..] => {
            let mut paths = match rest {
                [TokenTree::Punct(one), TokenTree::Punct(other), rest @ ..]
                    if one.as_char() == ':' && other.as_char() == ':' =>
                {
                    paths(rest)
                }
                _ => vec![Vec::new()],
            };
            for path in &mut paths {
                path.insert(0, name.to_string());
            }
            paths
        }
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let tokens: Vec<_> = group.stream().into_iter().collect();
            let branches = tokens.split(|token| token.to_string() == ",");
            let branches = branches.filter(|branch| !branch.is_empty());
            branches.flat_map(paths).collect()
        }
        // `*`
        _ => vec![Vec::new()],
    }
}

/// The paths from the crate's root that the code of this module names.
fn imports(code: TokenStream, module: &[String]) -> Vec<Vec<String>> {
    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
    let mut imports = Vec::new();
    for level in levels(code) {
        for (at, token) in level.iter().enumerate() {
            let from: &[String] = match token.to_string().as_str() {
                "crate" => &[],
                "super" => parent,
                _ => continue,
            };
            // `pub(in crate::…)` imports nothing.
            let is_visibility = at > 0 && level[at - 1].to_string() == "in";
            let named = paths(&level[at..])
                .into_iter()
                .map(|path| path[1..].to_vec());
            // `pub(crate)` names nothing.
            let named = named.filter(|path| !path.is_empty() && !is_visibility);
            imports.extend(named.map(|path| [from, &path].concat()));
        }
    }
    imports
}

/// The room in which something lies: `lib.rs` if the index exports it.
fn room_of(path: &[String], rooms: &[Room]) -> String {
    let name = |depth: usize| path.get(..depth).map(|path| path.join("/"));
    let is_module = |name: &&String| name.starts_with(char::is_lowercase);
    if path[0] == "runtime" && path.get(1).filter(is_module).is_some() {
        return path[..2].join("/");
    }
    let inner_first = [name(2), name(1)].into_iter().flatten();
    let mut named = inner_first.filter(|name| rooms.iter().any(|room| room.name == *name));
    named.next().unwrap_or_else(|| "lib.rs".to_owned())
}

#[test]
fn every_room_imports_only_what_the_plan_of_the_house_allows() {
    let rooms = rooms();
    let mut trespasses = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let module = source.module();
        let own = match room_of(&module, &rooms).as_str() {
            concrete if concrete.starts_with("runtime/") => "runtime".to_owned(),
            own => own.to_owned(),
        };
        let Some(plan) = rooms
            .iter()
            .find(|plan| plan.name == own && own != "lib.rs")
        else {
            trespasses.push(format!("{} belongs to no room: give it one", source.path));
            continue;
        };
        for import in imports(source.code.clone(), &module) {
            let room = room_of(&import, &rooms);
            let outer = room.split('/').next().filter(|outer| *outer != "runtime");
            let may = |room: &str| room == own || plan.imports.contains(room);
            if !may(&room) && !outer.is_some_and(may) && !room.starts_with(&format!("{own}/")) {
                let import = import.join("::");
                trespasses.push(format!(
                    "{own} imports {import} of {room} in {}",
                    source.path
                ));
            }
        }
    }
    assert!(trespasses.is_empty(), "{}", trespasses.join("\n"));
}

#[test]
fn every_room_of_the_table_has_a_file() {
    let rooms = rooms();
    assert!(rooms.len() > 20, "is the table written in another way now?");
    for room in rooms.iter().map(|room| room.name.trim_end_matches(".rs")) {
        let file = root().join(format!("src/{room}.rs"));
        assert!(file.exists(), "{} is not there", file.display());
    }
    let names = rooms.iter().flat_map(|room| &room.imports);
    for name in names.map(|name| name.trim_end_matches(".rs")) {
        let file = root().join(format!("src/{name}.rs"));
        assert!(
            file.exists(),
            "{} may be imported, and is not there",
            file.display()
        );
    }
}

#[test]
fn a_thread_attaches_only_in_places_that_are_known() {
    let found = sources().into_iter().filter_map(|source| {
        let words = ["attach", "try_attach"].map(|word| ["Python", ":", ":", word]);
        let count = words.iter().map(|words| source.has(words)).sum::<usize>();
        (count > 0).then_some((source.path, count))
    });
    let found: BTreeSet<_> = found.collect();
    let known = ATTACHES
        .iter()
        .map(|(path, count, _)| ((*path).to_owned(), *count));
    assert_eq!(found, known.collect());
}

#[test]
fn a_runtime_cannot_see_python() {
    for source in sources()
        .iter()
        .filter(|source| source.module()[0] == "runtime")
    {
        assert_eq!(source.has(&["pyo3"]), 0, "{} sees PyO3", source.path);
    }
}

#[test]
fn names_of_python_are_interned_in_one_room() {
    for source in sources()
        .iter()
        .filter(|source| source.module()[0] != "asyncio")
    {
        assert_eq!(
            source.has(&["intern", "!"]),
            0,
            "{} interns a name",
            source.path
        );
    }
}

#[test]
fn the_index_only_declares_and_exports() {
    let index = fs::read_to_string(root().join("src/lib.rs")).expect("the file can be read");
    let index = syn::parse_file(&index).expect("the compiler has read the file");
    for item in index.items {
        let content = match item {
            syn::Item::Use(_) => continue,
            syn::Item::Mod(module) => module.content.map_or(Vec::new(), |(_, items)| items),
            item => vec![item],
        };
        let exports = content.iter().all(|item| matches!(item, syn::Item::Use(_)));
        assert!(
            exports,
            "src/lib.rs defines something: {}",
            content[0].to_token_stream()
        );
    }
}

/// What Python can reach from two threads is for both to read: what changes in it lies behind a lock of ours.
#[test]
fn every_class_that_python_can_reach_is_frozen() {
    let mut classes = 0;
    for source in sources() {
        for level in levels(source.code) {
            let attributes = level.iter().enumerate();
            for (at, _) in attributes.filter(|(_, token)| token.to_string() == "pyclass") {
                // `use pyo3::pyclass;`
                if at != 0 {
                    continue;
                }
                classes += 1;
                let options = level.get(1).map(ToString::to_string).unwrap_or_default();
                assert!(
                    options.contains("frozen"),
                    "a class of {} is not frozen",
                    source.path
                );
            }
        }
    }
    assert!(classes > 0, "are classes made in another way now?");
}

#[test]
fn an_import_is_found_in_each_of_its_forms() {
    let code = code(
        "//! `crate::comments::are_none`
         use crate::{mailbox::{Job, drain::{self, turn}}, PyTask as Task, locals::*};
         use super::queue::Bell;
         pub(in crate::mailbox) fn function() { crate::runtime::tokio::init::<crate::Inner>(); }
         /// #[cfg(test)]
         macro_rules! stamp { () => { $crate::facade::private!() } }
         #[cfg(test)]
         mod tests { use crate::entry; }
         pub(crate) use crate::gate;",
    );
    let imports = imports(code, &["mailbox".to_owned(), "doorbell".to_owned()]);
    let found: BTreeSet<_> = imports.iter().map(|path| path.join("::")).collect();
    let expected = [
        "Inner",
        "PyTask",
        "facade::private",
        "gate",
        "locals",
        "mailbox::Job",
        "mailbox::drain::self",
        "mailbox::drain::turn",
        "mailbox::queue::Bell",
        "runtime::tokio::init",
    ];
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}
