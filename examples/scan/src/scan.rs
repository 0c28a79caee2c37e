//! What Python calls.

use std::{collections::HashSet, ffi::OsString, mem, path::PathBuf, sync::Arc};

use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyTuple,
};
use tokio::sync::Mutex;

use crate::{
    blocking::{on_thread, os_error},
    matching::{Match, Pattern, SearchedFile},
    progress::Progress,
    search::{Matches, Search},
};

/// Searches the files below `root` for `pattern`.
#[pyfunction]
#[pyo3(signature = (root, pattern, *, suffix="", skip=HashSet::new(), concurrency=16))]
pub(crate) fn scan(
    py: Python<'_>,
    root: PathBuf,
    pattern: Pattern,
    suffix: &str,
    skip: HashSet<OsString>,
    concurrency: usize,
) -> PyResult<Scan> {
    if concurrency == 0 {
        return Err(PyValueError::new_err(
            "concurrency is 0: at least one file has to be searched at a time",
        ));
    }
    let (stop, registration) = AbortHandle::new_pair();
    let search = Search {
        root,
        pattern,
        suffix: suffix.to_owned(),
        skip,
        concurrency,
        progress: Py::new(py, Progress::default())?,
    };
    Ok(Scan {
        search: Arc::new(search),
        stop,
        stage: Mutex::new(Stage::New(registration)),
    })
}

/// The matches in one file.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn matches_in(path: PathBuf, pattern: Pattern) -> PyResult<Vec<Match>> {
    let file = path.clone();
    let searched = on_thread(move |is_wanted| SearchedFile::read(file, &pattern, is_wanted));
    let searched = searched.await.map_err(|error| os_error(&error, &path))?;
    Ok(searched.into_matches().collect())
}

/// A search, of which nothing runs before it is awaited.
#[pyclass(frozen, weakref, module = "scan")]
pub(crate) struct Scan {
    search: Arc<Search>,
    stop: AbortHandle,
    stage: Mutex<Stage>,
}

/// A scan runs once.
enum Stage {
    New(AbortRegistration),
    Iterating(Matches),
    Over,
}

impl Scan {
    fn begin(&self) -> PyResult<AbortRegistration> {
        // Whoever holds the lock iterates.
        if let Ok(mut stage) = self.stage.try_lock() {
            match mem::replace(&mut *stage, Stage::Over) {
                Stage::New(registration) => return Ok(registration),
                begun => *stage = begun,
            }
        }
        Err(PyRuntimeError::new_err(
            "a scan runs once, and this one has begun: make another",
        ))
    }
}

#[pyo3_asyncio::tokio::pymethods]
impl Scan {
    /// How far the search has come.
    #[getter]
    fn progress(&self, py: Python<'_>) -> Py<Progress> {
        self.search.progress.clone_ref(py)
    }

    /// Awaits `on_match(match)` for every match.
    async fn each(&self, on_match: Py<PyAny>) -> PyResult<()> {
        let registration = self.begin()?;
        let search = self.search.each(on_match);
        // One that is stopped has nothing more to hand over.
        Abortable::new(search, registration).await.unwrap_or(Ok(()))
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The next match. If it is in a file that was searched already, nobody waits for another thread.
    #[pyo3(eager_start)]
    async fn __anext__(&self) -> PyResult<Option<Match>> {
        let mut stage = self.stage.lock().await;
        // The matches are out of the scan meanwhile: a call that is cancelled drops them, and that ends the scan, as it ends
        // an async generator.
        let mut matches = match mem::replace(&mut *stage, Stage::Over) {
            Stage::New(registration) => self.search.matches(registration).await?,
            Stage::Iterating(matches) => matches,
            Stage::Over => return Ok(None),
        };
        let next = matches.next().await;
        if next.is_some() {
            *stage = Stage::Iterating(matches);
        }
        Ok(next)
    }

    async fn __aenter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().search.check_root().await?;
        Ok(slf)
    }

    /// Stops the search, and whoever waits for it in another task.
    #[pyo3(eager_start, signature = (*_exception))]
    async fn __aexit__(&self, _exception: Py<PyTuple>) {
        self.stop.abort();
        *self.stage.lock().await = Stage::Over;
    }

    fn __repr__(&self) -> String {
        let Search { root, pattern, .. } = &*self.search;
        format!("<Scan of {} for {:?}>", root.display(), pattern.as_str())
    }
}
