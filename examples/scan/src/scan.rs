//! What Python calls.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyTuple, PyWeakrefMethods, PyWeakrefReference},
};
use pyo3_asyncio::tokio::{into_async_generator, into_coroutine};

use crate::{
    blocking::{on_thread, os_error},
    matching::{Match, Pattern, SearchedFile},
    progress::Progress,
    search::Search,
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
        registration: Mutex::new(Some(registration)),
        matches: Mutex::new(None),
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
    /// `None` once the scan has begun: it runs once.
    registration: Mutex<Option<AbortRegistration>>,
    /// Weak: where nobody iterates any more, the matches end.
    matches: Mutex<Option<Py<PyWeakrefReference>>>,
}

impl Scan {
    fn begin(&self) -> PyResult<AbortRegistration> {
        lock(&self.registration).take().ok_or_else(|| {
            PyRuntimeError::new_err("a scan runs once, and this one has begun: make another")
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds this lock")
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

    /// An async generator of the matches. Those that are found already come to Python together.
    fn __aiter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let registration = self.begin()?;
        let matches = Abortable::new(self.search.matches(), registration);
        let matches = into_async_generator(py, matches)?;
        *lock(&self.matches) = Some(PyWeakrefReference::new(&matches)?.unbind());
        Ok(matches)
    }

    async fn __aenter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().search.check_root().await?;
        Ok(slf)
    }

    /// Stops the search. A task that waits for a match comes to the end of the matches.
    #[pyo3(signature = (*_exception))]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _exception: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.stop.abort();
        let matches = lock(&self.matches).take();
        let matches = matches.and_then(|matches| matches.bind(py).upgrade());
        match matches {
            Some(matches) if !matches.getattr("ag_running")?.is_truthy()? => {
                matches.call_method0("aclose")
            }
            _ => into_coroutine(py, async { Ok(()) }),
        }
    }

    fn __repr__(&self) -> String {
        let Search { root, pattern, .. } = &*self.search;
        format!("<Scan of {} for {:?}>", root.display(), pattern.as_str())
    }
}
