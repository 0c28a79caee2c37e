//! Records of Rust's `log` in Python's `logging`. The thread that logs never attaches to the interpreter: the event loop hands the
//! record over.

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;

struct PythonLogger(TaskLocals);

impl Log for PythonLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => 40,
            Level::Warn => 30,
            Level::Info => 20,
            Level::Debug => 10,
            Level::Trace => 5,
        };
        let (name, text) = (
            record.target().replace("::", "."),
            record.args().to_string(),
        );
        let (file, line) = (record.file().map(str::to_owned), record.line());
        let hand_over = move |py: Python<'_>| {
            let logger = py.import("logging")?.call_method1("getLogger", (&name,))?;
            if logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
                let place = (file.unwrap_or_default(), line.unwrap_or_default());
                let record = (name, level, place.0, place.1, text, (), py.None());
                let record = logger.call_method1("makeRecord", record)?;
                logger.call_method1("handle", (record,))?;
            }
            Ok(())
        };
        // Once the loop is closed, the record is dropped.
        self.0.call_soon(hand_over).detach();
    }

    fn flush(&self) {}
}

/// Sends Rust's log records to Python's `logging`, through the event loop that runs now. Works once in a process.
#[pyfunction]
pub(crate) fn log_to_python(py: Python<'_>, level: &str) -> PyResult<()> {
    let level: LevelFilter = level
        .parse()
        .map_err(|_| PyRuntimeError::new_err(format!("{level:?} is no level of Rust's log")))?;
    let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
    log::set_boxed_logger(Box::new(PythonLogger(locals)))
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    log::set_max_level(level);
    Ok(())
}

/// Logs on a worker of the runtime.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn log_from_worker(text: String) {
    log::warn!("{text}");
    log::trace!("not at this level");
}
