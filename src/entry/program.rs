//! A program with an `async fn main`, which `#[main]` expands to.

use std::future::Future;
use std::process::ExitCode;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use super::run;
use crate::asyncio;
use crate::runtime::Runtime;

/// Runs `main` on a new loop, which `module` makes if one is named, and returns the exit status of the process.
pub(crate) fn main<R, F, T>(module: Option<&str>, main: impl FnOnce() -> F) -> ExitCode
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    asyncio::initialize();
    #[expect(clippy::disallowed_methods, reason = "Python's main thread")]
    Python::attach(|py| {
        let result = prepare_interpreter(py)
            .and_then(|()| asyncio::handle_interrupts(py))
            .and_then(|()| run::<R, F, T>(py, module, main()));
        let code = match result {
            Ok(_) => 0,
            Err(error) => exit_status(py, error),
        };
        // The interpreter is not finalized: other threads may still be attached to it.
        match asyncio::flush_standard_streams(py) {
            Err(error) if code == 0 => exit_status(py, error).into(),
            _ => code.into(),
        }
    })
}

/// Prepares an embedded interpreter as `python3` does.
pub(crate) fn prepare_interpreter(py: Python<'_>) -> PyResult<()> {
    asyncio::see_virtual_environment(py)?;
    asyncio::be_main_thread(py)
}

/// Prints an uncaught error as `python3` does, and returns the status that `python3` would exit with.
fn exit_status(py: Python<'_>, error: PyErr) -> u8 {
    /// 128 + SIGINT, as in shells.
    const INTERRUPTED: u8 = 130;
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return INTERRUPTED;
    }
    if !error.is_instance_of::<PySystemExit>(py) {
        error.print(py);
        return 1;
    }
    match asyncio::system_exit_code(error.value(py)) {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract::<i64>().map_or_else(
            |_| {
                eprintln!("{code}");
                1
            },
            // The system keeps the low eight bits, as for `sys.exit`.
            |code| u8::try_from(code & 0xff).unwrap_or(1),
        ),
        Err(_) => 1,
    }
}
