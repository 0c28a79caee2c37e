//! Futures whose error is not a `PyErr`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use pyo3::prelude::*;

pin_project! {
    /// A future whose error is a `PyErr`, made by [`into_py_err`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct IntoPyErr<F> {
        #[pin]
        future: F,
    }
}

impl<F> fmt::Debug for IntoPyErr<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoPyErr").finish_non_exhaustive()
    }
}

/// Converts the error of a future to a `PyErr`.
///
/// Every conversion in this crate takes a future of a `PyResult`. If it took any `Result<T, E>`, the compiler could not infer `E`
/// in `async { Ok(()) }`, the most common future. Inside an `async` block, `?` converts errors too. This function does the same
/// as `futures::TryFutureExt::err_into::<PyErr>`.
///
/// ```
/// use pyo3::exceptions::PyLookupError;
/// use pyo3::prelude::*;
/// use pyo3_asyncio::err::into_py_err;
///
/// struct NotFound(String);
///
/// impl From<NotFound> for PyErr {
///     fn from(NotFound(key): NotFound) -> PyErr {
///         PyLookupError::new_err(format!("there is no {key:?}"))
///     }
/// }
///
/// async fn look_up(key: String) -> Result<usize, NotFound> {
///     Err(NotFound(key))
/// }
///
/// # #[cfg(feature = "tokio-runtime")]
/// #[pyfunction]
/// fn position(py: Python<'_>, key: String) -> PyResult<Bound<'_, PyAny>> {
///     pyo3_asyncio::tokio::future_into_py(py, into_py_err(look_up(key)))
/// }
///
/// # #[cfg(feature = "tokio-runtime")]
/// #[pyfunction]
/// fn distance(py: Python<'_>, from: String, to: String) -> PyResult<Bound<'_, PyAny>> {
///     pyo3_asyncio::tokio::future_into_py(py, async move {
///         let (from, to) = (look_up(from).await?, look_up(to).await?);
///         Ok(to.abs_diff(from))
///     })
/// }
/// ```
pub fn into_py_err<F, T, E>(future: F) -> IntoPyErr<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<PyErr>,
{
    IntoPyErr { future }
}

impl<F, T, E> Future for IntoPyErr<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<PyErr>,
{
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<T>> {
        let result = ready!(self.project().future.poll(cx));
        Poll::Ready(result.map_err(Into::into))
    }
}
