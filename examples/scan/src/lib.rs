//! A directory tree is searched by Rust, on tokio, and Python gets the matches.
//!
//! A search is futures and streams, and each thread that works for it has a channel to them. So nothing has to be told to stop.
//! Whatever ends a search early (`break`, the end of an `async with`, a task that is cancelled, a callback that raises) drops
//! what waits, and a thread whose channel is closed ends.

mod blocking;
mod matching;
mod progress;
mod scan;
mod search;

use pyo3::prelude::*;

/// The native half of the Python package `scan`; `_scan.pyi` documents it for Python.
#[pymodule(gil_used = false)]
mod _scan {
    #[pymodule_export]
    use crate::{
        matching::Match,
        progress::Progress,
        scan::{Scan, matches_in, scan},
    };
}
