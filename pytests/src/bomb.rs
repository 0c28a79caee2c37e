//! Panics: futures that panic when they are dropped, and a hook that counts instead of printing.

use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

use pyo3::prelude::*;

use crate::bridge;
use crate::gate::Gate;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Installs a panic hook that counts panics and does not print them.
#[pyfunction]
pub(crate) fn count_panics() {
    panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::SeqCst);
    }));
}

/// The number of panics since [`count_panics`].
#[pyfunction]
pub(crate) fn panics() -> usize {
    PANICS.load(Ordering::SeqCst)
}

/// A future that panics when it is dropped, finished or not.
struct Bomb<F>(Pin<Box<F>>);

impl<F: Future> Future for Bomb<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<F> Drop for Bomb<F> {
    fn drop(&mut self) {
        // A second panic during unwinding would abort the process.
        if !thread::panicking() {
            panic!("dropped");
        }
    }
}

/// The gate's future, which panics when it is dropped.
#[pyfunction]
pub(crate) fn bomb<'py>(py: Python<'py>, gate: &Bound<'py, Gate>) -> PyResult<Bound<'py, PyAny>> {
    bridge::future_into_py(py, Bomb(Box::pin(gate.get().future()?)))
}

/// Like [`bomb`], as a coroutine.
#[pyfunction]
pub(crate) fn bomb_coroutine<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
) -> PyResult<Bound<'py, PyAny>> {
    bridge::into_coroutine(py, Bomb(Box::pin(gate.get().future()?)))
}
