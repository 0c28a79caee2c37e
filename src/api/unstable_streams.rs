//! The stream functions of `pyo3-async-runtimes`, which has them behind the feature `unstable-streams`.

use futures_core::Stream;
use pyo3::prelude::*;

use crate::locals::get_current_locals;
use crate::{PyStream, TaskLocals, into_stream_with_locals};

/// Makes a Rust stream of a Python async generator. The name of `pyo3-async-runtimes` for [`into_stream`](super::custom::into_stream).
///
/// # Errors
///
/// Those of [`into_stream`](super::custom::into_stream).
#[track_caller]
pub fn into_stream_v1(generator: Bound<'_, PyAny>) -> PyResult<PyStream> {
    into_stream_with_locals_v1(get_current_locals(generator.py())?, generator)
}

/// Like [`into_stream_v1`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// Those of [`into_stream_with_locals`].
#[track_caller]
pub fn into_stream_with_locals_v1(
    locals: TaskLocals,
    generator: Bound<'_, PyAny>,
) -> PyResult<PyStream> {
    into_stream_with_locals(&locals, generator)
}

/// Like [`into_stream_v1`], without a `Result` for each item.
///
/// An error ends the stream and goes to the loop's exception handler. Use [`into_stream`](super::custom::into_stream), whose last
/// item it is.
///
/// # Errors
///
/// Those of [`into_stream_v1`].
#[track_caller]
pub fn into_stream_v2(
    generator: Bound<'_, PyAny>,
) -> PyResult<impl Stream<Item = Py<PyAny>> + use<>> {
    into_stream_with_locals_v2(get_current_locals(generator.py())?, generator)
}

/// Like [`into_stream_v2`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// Those of [`into_stream_with_locals`].
#[track_caller]
pub fn into_stream_with_locals_v2(
    locals: TaskLocals,
    generator: Bound<'_, PyAny>,
) -> PyResult<impl Stream<Item = Py<PyAny>> + use<>> {
    into_stream_with_locals(&locals, generator)?.reporting(&locals)
}
