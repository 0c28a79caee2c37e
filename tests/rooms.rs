//! Keeps the rooms of the house apart: who may import whom is written down once, here, and read off the code.
//!
//! ARCHITECTURE.md tells what each room is for.

use std::fs;
use std::path::{Path, PathBuf};

struct Room {
    name: &'static str,
    /// The rooms that it may import. `runtime` means the trait, `runtime::tokio` the concrete runtime.
    imports: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        name: "primitive",
        imports: &[],
    },
    Room {
        name: "asyncio",
        imports: &["primitive"],
    },
    Room {
        name: "error",
        imports: &["asyncio", "silence"],
    },
    Room {
        name: "gate",
        imports: &["primitive"],
    },
    Room {
        name: "process",
        imports: &["asyncio", "gate", "primitive", "runtime::tokio"],
    },
    Room {
        name: "runtime",
        imports: &["gate", "primitive", "silence"],
    },
    Room {
        name: "silence",
        imports: &[],
    },
    Room {
        name: "metrics",
        imports: &[],
    },
    Room {
        name: "trace",
        imports: &[],
    },
    Room {
        name: "locals",
        imports: &["asyncio"],
    },
    Room {
        name: "mailbox",
        imports: &[
            "asyncio",
            "error",
            "gate",
            "metrics",
            "primitive",
            "process",
        ],
    },
    Room {
        name: "rust_to_python",
        imports: &[
            "asyncio",
            "error",
            "gate",
            "locals",
            "mailbox",
            "metrics",
            "primitive",
            "process",
            "runtime",
            "trace",
        ],
    },
    Room {
        name: "python_to_rust",
        imports: &[
            "asyncio",
            "error",
            "locals",
            "mailbox",
            "metrics",
            "primitive",
            "process",
            "trace",
        ],
    },
    Room {
        name: "entry",
        imports: &[
            "asyncio",
            "error",
            "gate",
            "locals",
            "mailbox",
            "primitive",
            "process",
            "runtime",
            "rust_to_python",
        ],
    },
    Room {
        name: "facade",
        imports: &[
            "CancelHandle",
            "PyTask",
            "TaskLocals",
            "entry",
            "into_future_with_locals",
            "locals",
            "process",
            "runtime",
            "runtime::async_std",
            "runtime::smol",
            "runtime::tokio",
            "rust_to_python",
            "testing",
        ],
    },
    Room {
        name: "testing",
        imports: &["asyncio", "entry", "error", "locals", "runtime"],
    },
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file without comments (where links to other rooms are welcome) and without its test modules.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the file can be read");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code.split("#[cfg(all(test,").next().unwrap_or_default();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The room that a file belongs to: the first part of its path below `src`.
fn room_of(path: &Path, src: &Path) -> String {
    let below = path.strip_prefix(src).expect("the file lies below src");
    let first = below.components().next().expect("a file has a name");
    let first = first.as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// What follows each `crate::` in the code, with the concrete runtimes told from the trait.
fn imports(code: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let paths = code
        .match_indices("crate::")
        .map(|(at, prefix)| &code[at + prefix.len()..]);
    paths
        .flat_map(|path| match path.strip_prefix('{') {
            Some(group) => {
                let group = group.split('}').next().unwrap_or_default();
                group.split(',').map(str::trim).collect::<Vec<_>>()
            }
            None => vec![path],
        })
        .map(|path| {
            let room = name(path);
            let concrete = path.strip_prefix("runtime::").map(name);
            match concrete {
                Some(concrete) if concrete.starts_with(char::is_lowercase) => {
                    format!("{room}::{concrete}")
                }
                _ => room,
            }
        })
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn every_room_imports_only_what_the_plan_of_the_house_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut trespasses = Vec::new();
    for path in sources(&src) {
        let room = room_of(&path, &src);
        if room == "lib" {
            continue;
        }
        let Some(plan) = ROOMS.iter().find(|plan| plan.name == room) else {
            trespasses.push(format!(
                "{} belongs to no room: give it one",
                path.display()
            ));
            continue;
        };
        for import in imports(&code(&path)) {
            let own = import == room || import.starts_with(&format!("{room}::"));
            if !own && !plan.imports.contains(&import.as_str()) {
                trespasses.push(format!("{room} imports {import} in {}", path.display()));
            }
        }
    }
    assert!(trespasses.is_empty(), "{}", trespasses.join("\n"));
}

#[test]
fn a_runtime_cannot_see_python() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src)
        .iter()
        .filter(|path| room_of(path, &src) == "runtime")
    {
        assert!(
            !code(path).contains("pyo3::"),
            "{} sees PyO3",
            path.display()
        );
    }
}

#[test]
fn names_of_python_are_interned_in_one_room() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src)
        .iter()
        .filter(|path| room_of(path, &src) != "asyncio")
    {
        assert!(
            !code(path).contains("intern!"),
            "{} interns a name",
            path.display()
        );
    }
}

#[test]
fn the_index_only_declares_and_exports() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let code = code(&lib);
    for word in [
        "fn ", "struct ", "enum ", "impl ", "trait ", "static ", "const ",
    ] {
        assert!(!code.contains(word), "src/lib.rs defines something: {word}");
    }
}

/// What Python can reach from two threads is for both to read: what changes in it lies behind a lock of ours.
#[test]
fn every_class_that_python_can_reach_is_frozen() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut classes = 0;
    for path in sources(&src) {
        let code = code(&path);
        let lines = code.lines().map(str::trim_start);
        for class in lines.filter(|line| line.starts_with("#[pyclass")) {
            classes += 1;
            assert!(
                class.contains("frozen"),
                "{class} in {} is not frozen",
                path.display()
            );
        }
    }
    assert!(classes > 0, "are classes made in another way now?");
}

#[test]
fn an_import_is_found_in_each_of_its_forms() {
    let code = "use crate::mailbox::{Job, Mailbox};\nuse crate::{PyTask, TaskLocals};\ncrate::runtime::tokio::init();\n\
                crate::runtime::Runtime";
    assert_eq!(
        imports(code),
        [
            "mailbox",
            "PyTask",
            "TaskLocals",
            "runtime::tokio",
            "runtime"
        ]
    );
}
