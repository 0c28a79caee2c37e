//! Who may know whom in `src`. The compiler says it for the protocols in `sync` that `tests/models` compiles alone.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of `src`, and what none of their code has in it.
const UNKNOWN: [(&str, &[&str]); 4] = [
    ("sync", &["pyo3::", "tokio::", "async_std::", "smol::"]),
    (
        "runtime",
        &["pyo3::", "crate::asyncio", "crate::event_loop"],
    ),
    ("to_python", &["to_rust"]),
    ("to_rust", &["to_python"]),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a folder, with the one that declares its modules.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let (folders, mut files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| self::files(folder)));
    files.extend(Some(folder.with_extension("rs")).filter(|file| file.exists()));
    files
}

/// The code of a file, without the comments, where links to others are welcome.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("the file can be read");
    let lines = text.lines().map(str::trim_start);
    let code = lines.filter(|line| !line.starts_with("//"));
    code.flat_map(|line| ["\n", line]).collect()
}

#[test]
fn no_layer_names_what_it_must_not_know() {
    for (folder, names) in UNKNOWN {
        for file in files(&src().join(folder)) {
            let code = code(&file);
            let known = names.iter().find(|name| code.contains(**name));
            assert_eq!(known, None, "{} must not know it", file.display());
        }
    }
}

/// Threads share what Python can reach: what changes in it lies behind a lock.
#[test]
fn every_class_is_frozen() {
    let mut classes = 0;
    for file in files(&src()) {
        for attribute in code(&file).split("\n#[pyclass").skip(1) {
            let options = attribute.split(']').next().expect("an attribute ends");
            assert!(options.contains("frozen"), "{}: {options}", file.display());
            classes += 1;
        }
    }
    assert!(classes > 0, "are classes made in another way now?");
}

/// What Windows has not is behind one door for Python's loops and one for tokio, so that it compiles there and is tested elsewhere.
#[test]
fn two_modules_know_unix() {
    let door = [
        "event_loop.rs",
        "event_loop/descriptor.rs",
        "runtime/tokio.rs",
        "runtime/tokio/readable.rs",
        "runtime/tokio/timer.rs",
    ]
    .map(|file| src().join(file));
    for file in files(&src()).iter().filter(|file| !door.contains(file)) {
        let code = code(file);
        for name in ["std::os::", "rustix", "cfg(unix", "not(unix"] {
            assert!(!code.contains(name), "{} has {name}", file.display());
        }
    }
}
