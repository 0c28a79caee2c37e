//! The extension module that the tests in `tests/` import: Rust futures that a test completes by hand, Python awaitables
//! that Rust awaits, and the counters that tell what became of them.
//!
//! Whatever a test can say in Python is left to Python: here is only what has to happen in Rust.

mod coroutine;
mod gate;
mod ledger;
mod locals;
mod task;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The worker threads of the runtime, as the environment variable `PYTESTS_RUNTIME` has it: `multi_thread` is the default.
fn start_runtime() -> PyResult<usize> {
    let (mut builder, workers) = match std::env::var("PYTESTS_RUNTIME").as_deref() {
        Ok("current_thread") => (tokio::runtime::Builder::new_current_thread(), 1),
        Ok("multi_thread") | Err(_) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            (builder, 2)
        }
        Ok(other) => {
            return Err(PyValueError::new_err(format!(
                "PYTESTS_RUNTIME is {other:?}: set it to \"current_thread\" or to \"multi_thread\""
            )));
        }
    };
    builder.enable_all();
    pyo3_asyncio::tokio::init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))?;
    Ok(workers)
}

#[pymodule]
mod pyo3_asyncio_pytests {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::coroutine::{
        asks_afterwards, deaf, eager_await, eager_call, eager_turns, eager_wakes, lazy_call,
        lazy_turns, panics_when_dropped, persistent, refused,
    };
    #[pymodule_export]
    use crate::gate::{Gate, Hold, nap, never, turns};
    #[pymodule_export]
    use crate::ledger::{dropped, made, wait_until_live};
    #[pymodule_export]
    use crate::locals::{
        call_in_bare_task, call_inside, current_context, current_loop, run_in_scope, running_loop,
        sleep, wrap_sleep,
    };
    #[pymodule_export]
    use crate::task::{Task, await_for_turns, await_inside, into_future};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("WORKERS", super::start_runtime()?)?;
        module.add("LoopClosed", py.get_type::<pyo3_asyncio::err::LoopClosed>())?;
        module.add("RustPanic", py.get_type::<pyo3_asyncio::err::RustPanic>())
    }
}
