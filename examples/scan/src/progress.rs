//! How far a search has come.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use pyo3::prelude::*;

/// How far a search has come. It may be read at any time, from any thread.
#[pyclass(frozen, weakref, module = "scan")]
#[derive(Debug, Default)]
pub(crate) struct Progress {
    files_found: AtomicUsize,
    files_done: AtomicUsize,
    matches: AtomicUsize,
    unreadable: Mutex<Vec<(PathBuf, String)>>,
    undecodable: Mutex<Vec<PathBuf>>,
}

/// What the search reports.
impl Progress {
    pub(crate) fn file_found(&self) {
        self.files_found.fetch_add(1, Relaxed);
    }

    pub(crate) fn file_done(&self) {
        self.files_done.fetch_add(1, Relaxed);
    }

    pub(crate) fn match_handled(&self) {
        self.matches.fetch_add(1, Relaxed);
    }

    pub(crate) fn file_unreadable(&self, path: PathBuf, reason: String) {
        push(&self.unreadable, (path, reason));
    }

    pub(crate) fn file_undecodable(&self, path: PathBuf) {
        push(&self.undecodable, path);
    }
}

/// What Python reads.
#[pymethods]
impl Progress {
    /// The files that the walk has come to; the number of all once the walk is over.
    #[getter]
    fn files_found(&self) -> usize {
        self.files_found.load(Relaxed)
    }

    /// The files that nothing is left to do for.
    #[getter]
    fn files_done(&self) -> usize {
        self.files_done.load(Relaxed)
    }

    /// The matches that are on their way to Python or there, or that the callback is through with.
    #[getter]
    fn matches(&self) -> usize {
        self.matches.load(Relaxed)
    }

    /// The files and directories that could not be read, each with the reason.
    #[getter]
    fn unreadable(&self) -> Vec<(PathBuf, String)> {
        copy(&self.unreadable)
    }

    /// The files that are not UTF-8. They were searched like all others.
    #[getter]
    fn undecodable(&self) -> Vec<PathBuf> {
        copy(&self.undecodable)
    }

    fn __repr__(&self) -> String {
        format!(
            "<Progress: {} of {} files, {} matches, {} unreadable, {} undecodable>",
            self.files_done(),
            self.files_found(),
            self.matches(),
            self.unreadable().len(),
            self.undecodable().len(),
        )
    }
}

const UNPOISONED: &str = "nothing panics while it holds this lock";

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock().expect(UNPOISONED).push(item);
}

fn copy<T: Clone>(list: &Mutex<Vec<T>>) -> Vec<T> {
    list.lock().expect(UNPOISONED).clone()
}
