//! A lock that Rust tasks and Python calls share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

/// Prices that Rust threads change and Python reads.
#[pyclass(frozen)]
pub(crate) struct Prices(Arc<Mutex<BTreeMap<String, f64>>>);

#[pymethods]
impl Prices {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Called attached: detaches while it waits for the lock, because the thread that has it may wait for the interpreter.
    fn get(&self, py: Python<'_>, name: &str) -> Option<f64> {
        let prices = self.0.lock_py_attached(py);
        let prices = prices.unwrap_or_else(PoisonError::into_inner);
        prices.get(name).copied()
    }

    /// Changes a price in a thread, which calls `ask`, a Python function, with the lock held. Library code that calls back under
    /// a lock of its own does so too. Where the lock is yours, call first, and lock then.
    fn ask(&self, name: String, ask: Py<PyAny>) {
        let prices = Arc::clone(&self.0);
        thread::spawn(move || {
            let mut prices = prices.lock().unwrap_or_else(PoisonError::into_inner);
            let price = Python::attach(|py| ask.call1(py, (&name,))?.extract(py));
            if let Ok(price) = price {
                prices.insert(name, price);
            }
        });
    }
}
