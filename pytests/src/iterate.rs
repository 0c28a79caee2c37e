//! Python async generators that Rust iterates over.

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3_asyncio::PyStream;
use smol::future::{block_on, poll_once};
use smol::stream::StreamExt;

use crate::bridge;
use crate::ledger::recorded;

/// A Rust future of the list of all items, taken from a stream of this capacity.
#[pyfunction]
#[pyo3(signature = (iterable, capacity=128))]
pub(crate) fn collect_items(
    iterable: Bound<'_, PyAny>,
    capacity: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let py = iterable.py();
    let stream = bridge::into_stream(iterable)?.capacity(capacity);
    let collected = async { stream.try_collect::<_, _, Vec<_>>().await };
    bridge::future_into_py(py, recorded(Arc::default(), collected))
}

/// A Rust future of the sum of all items, extracted on the loop.
#[pyfunction]
#[pyo3(signature = (iterable, capacity=128))]
pub(crate) fn sum_items(iterable: Bound<'_, PyAny>, capacity: usize) -> PyResult<Bound<'_, PyAny>> {
    let py = iterable.py();
    let mut numbers = bridge::into_stream(iterable)?
        .capacity(capacity)
        .extract::<u64>();
    let sum = async move { numbers.try_fold(0, |sum, number| Ok(sum + number)).await };
    bridge::future_into_py(py, recorded(Arc::default(), sum))
}

/// A Rust future that takes up to so many items from a stream of this capacity, and then drops the stream, or closes it and waits.
/// It returns the items.
#[pyfunction]
#[pyo3(signature = (iterable, count, closes, capacity=2))]
pub(crate) fn take_items(
    iterable: Bound<'_, PyAny>,
    count: usize,
    closes: bool,
    capacity: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let py = iterable.py();
    let mut stream = bridge::into_stream(iterable)?.capacity(capacity);
    let taken = async move {
        let mut taken = Vec::new();
        while taken.len() < count {
            match stream.next().await {
                Some(item) => taken.push(item?),
                None => break,
            }
        }
        if closes {
            stream.close().await?;
        }
        Ok(taken)
    };
    bridge::future_into_py(py, recorded(Arc::default(), taken))
}

/// A Rust future that has the event loop make async generators for ever, some of which it leaves in the middle.
#[pyfunction]
pub(crate) fn iterate_for_ever(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let function = Arc::new(function);
    let stream = move || -> PyStream {
        let function = Arc::clone(&function);
        bridge::run_async_generator(move |py| function.bind(py).call0()).capacity(4)
    };
    let future = async move {
        for items in (0..20).cycle() {
            let mut stream = stream();
            for _ in 0..items {
                if let Some(item) = stream.next().await {
                    item?;
                }
            }
        }
        PyResult::Ok(())
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// A stream that a test polls on its own thread.
#[pyclass(frozen)]
pub(crate) struct Items(Mutex<PyStream>);

#[pymethods]
impl Items {
    #[new]
    fn new(iterable: Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Mutex::new(bridge::into_stream(iterable)?)))
    }

    /// The items that are ready, and whether the stream has ended.
    fn ready(&self) -> PyResult<(Vec<Py<PyAny>>, bool)> {
        let mut stream = self.0.lock().expect("it is never poisoned");
        let mut ready = Vec::new();
        loop {
            match block_on(poll_once(stream.next())) {
                Some(Some(item)) => ready.push(item?),
                Some(None) => return Ok((ready, true)),
                None => return Ok((ready, false)),
            }
        }
    }
}
