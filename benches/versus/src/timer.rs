//! How late an unrelated timer of the runtime fires.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::RUNTIME;

const PERIOD: Duration = Duration::from_millis(1);

/// Sleeps 1 ms again and again in a task of its own, and notes how much later than asked it woke.
#[pyclass(frozen)]
pub(crate) struct TimerWatch {
    stopped: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<Vec<f64>>>>,
}

#[pymethods]
impl TimerWatch {
    #[new]
    fn new() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let task = RUNTIME.spawn(watch(Arc::clone(&stopped)));
        Self {
            stopped,
            task: Mutex::new(Some(task)),
        }
    }

    /// Ends the watch: the delays, in milliseconds.
    fn stop(&self, py: Python<'_>) -> PyResult<Vec<f64>> {
        self.stopped.store(true, Ordering::Relaxed);
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        let task = task.ok_or_else(|| PyRuntimeError::new_err("the watch was stopped before"))?;
        py.detach(|| RUNTIME.block_on(task))
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

async fn watch(stopped: Arc<AtomicBool>) -> Vec<f64> {
    let mut delays = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let asked = Instant::now() + PERIOD;
        sleep(PERIOD).await;
        delays.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    delays
}
