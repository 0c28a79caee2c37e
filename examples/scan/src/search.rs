//! The search: a walk, a bounded number of files at once, and a Python function awaited for every match.

use std::{collections::HashSet, ffi::OsString, path::PathBuf, sync::Arc};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
};
use pyo3_asyncio::tokio::{future_into_py, into_future};
use regex::bytes::Regex;
use tokio::{sync::mpsc, task::spawn_blocking};
use walkdir::{DirEntry, WalkDir};

use crate::{
    matching::{Match, SearchedFile, compile},
    progress::Progress,
};

/// How far the walk may be ahead of the search: far enough that `files_found` soon is the total that
/// a progress bar wants, and no further, for a tree may have more paths than fit into memory.
const PATHS_AHEAD: usize = 4096;

/// Searches the files below `root` for `pattern`, and awaits `on_match` for every match.
#[pyfunction]
#[pyo3(signature = (root, pattern, on_match, *, suffix="", skip=HashSet::new(), concurrency=16, progress=None))]
#[expect(
    clippy::too_many_arguments,
    reason = "in Python all but three are keywords with a default"
)]
pub(crate) fn search<'py>(
    py: Python<'py>,
    root: PathBuf,
    pattern: &str,
    on_match: Py<PyAny>,
    suffix: &str,
    skip: HashSet<OsString>,
    concurrency: usize,
    progress: Option<Py<Progress>>,
) -> PyResult<Bound<'py, PyAny>> {
    if concurrency == 0 {
        return Err(PyValueError::new_err(
            "concurrency is 0: at least one file has to be searched at a time",
        ));
    }
    let regex = compile(pattern)?;
    // Python's own errors for a root that cannot be listed, with the path in them.
    py.import("os")?
        .call_method1("scandir", (&root,))?
        .call_method0("close")?;
    let progress = match progress {
        Some(progress) => progress,
        None => Py::new(py, Progress::default())?,
    };
    let result = progress.clone_ref(py);
    let search = Arc::new(Search {
        root,
        regex,
        on_match,
        suffix: suffix.to_owned(),
        skip,
        progress,
    });
    future_into_py(py, async move {
        search.run(concurrency).await?;
        Ok(result)
    })
}

/// What the walk, the blocking threads and the future share.
struct Search {
    root: PathBuf,
    regex: Regex,
    on_match: Py<PyAny>,
    suffix: String,
    skip: HashSet<OsString>,
    progress: Py<Progress>,
}

impl Search {
    async fn run(self: &Arc<Self>, concurrency: usize) -> PyResult<()> {
        self.files()
            .map(Ok)
            .try_for_each_concurrent(concurrency, |path| self.search_file(path))
            .await
    }

    /// The paths of the files to search, from a walk on a blocking thread.
    /// The walk ends when the stream is dropped.
    fn files(self: &Arc<Self>) -> impl Stream<Item = PathBuf> + use<> {
        let (found, mut paths) = mpsc::channel(PATHS_AHEAD);
        let search = Arc::clone(self);
        spawn_blocking(move || {
            let entries = WalkDir::new(&search.root).into_iter();
            for entry in entries.filter_entry(|entry| !search.skips(entry)) {
                match entry {
                    Ok(entry) if search.wants(&entry) => {
                        search.progress.get().file_found();
                        // An error says that nobody listens any more; the check below ends the walk.
                        let _ = found.blocking_send(entry.into_path());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let path = error.path().unwrap_or(&search.root).to_owned();
                        let reason = error
                            .io_error()
                            .map_or_else(|| error.to_string(), ToString::to_string);
                        search.progress.get().file_unreadable(path, reason);
                    }
                }
                // Here and not only where a path is sent: the walk may not find another one for long.
                if found.is_closed() {
                    break;
                }
            }
        });
        stream::poll_fn(move |context| paths.poll_recv(context))
    }

    fn skips(&self, entry: &DirEntry) -> bool {
        entry.depth() > 0 && entry.file_type().is_dir() && self.skip.contains(entry.file_name())
    }

    fn wants(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name().as_encoded_bytes();
        entry.file_type().is_file() && name.ends_with(self.suffix.as_bytes())
    }

    async fn search_file(self: &Arc<Self>, path: PathBuf) -> PyResult<()> {
        let progress = self.progress.get();
        let searched = spawn_blocking({
            let search = Arc::clone(self);
            let path = path.clone();
            move || SearchedFile::read(&path, &search.regex)
        });
        match searched
            .await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?
        {
            Ok(file) => {
                for found in file.matches() {
                    self.handle(found).await?;
                }
                if !file.is_utf8() {
                    progress.file_undecodable(path);
                }
            }
            Err(error) => progress.file_unreadable(path, error.to_string()),
        }
        progress.file_done();
        Ok(())
    }

    /// Calls the Python function and awaits what it returns.
    async fn handle(&self, found: Match) -> PyResult<()> {
        // Not `attach`, which panics where there is no interpreter: Ctrl-C can end Python while this runs.
        let handled = Python::try_attach(|py| into_future(self.on_match.bind(py).call1((found,))?))
            .unwrap_or_else(|| Err(PyRuntimeError::new_err("Python has ended")))?;
        handled.await?;
        self.progress.get().match_handled();
        Ok(())
    }
}
