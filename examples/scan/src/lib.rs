//! A directory tree is searched by Rust, on tokio, and Python hears of every match.
//!
//! A search is one Rust future: the walk feeds it paths, it has a bounded number of files searched
//! at once on tokio's blocking threads, and it awaits the async Python function for every match.
//! So it needs no code for stopping. Whatever ends it early (Python cancels it, a callback raises)
//! drops the future, and with it the callbacks that it awaits and the walk's channel.

mod matching;
mod progress;
mod search;

use pyo3::prelude::*;

/// The native half of the Python package `scan`; `_scan.pyi` documents it for Python.
#[pymodule(gil_used = false)]
mod _scan {
    #[pymodule_export]
    use crate::{matching::Match, progress::Progress, search::search};
}
