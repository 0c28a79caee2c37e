//! Threads that are still in Python code when the interpreter's end begins.
//!
//! Python up to 3.13 ends such a thread where it next wants the interpreter, in a way that no Rust function on its stack survives:
//! the process aborts. Later ones let it hang there for ever. So do we, before:
//!
//! 1. A thread is looked for if the [`gate`] counts it in, which is a daemon thread that runs Python code by way of ours, or if
//!    Python has not started it: a worker of a runtime, or one of its threads for blocking work.
//! 2. An exception is thrown into it. Python makes that in the thread itself, where its next piece of Python begins, and
//!    [making it](here) does not end until the gate opens: nothing is unwound, nothing is printed.
//! 3. If the gate opens, since the process is still there, the thread goes on with `SystemExit`: it may hold a lock that what
//!    `atexit` calls later waits for.
//! 4. What is not in Python's own code, but in a function in C that has let go of the interpreter, such as `time.sleep`,
//!    cannot be reached: it ends the process if it comes back while the interpreter ends, and not before or after.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

use crate::asyncio;
use crate::gate::{self, PerProcess, Who};
use crate::primitive::lock_std;

/// How much later a process may end for their sake: on a quiet machine they stay after some milliseconds.
const PATIENCE: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The threads that stay.
static HERE: PerProcess<Mutex<Vec<usize>>> = PerProcess::new(Mutex::new(Vec::new()));

/// Has every thread stay that the interpreter's end would end.
pub(super) fn keep_all(py: Python<'_>) -> PyResult<()> {
    if lost(py)?.is_empty() {
        return Ok(());
    }
    let stay = wrap_pyfunction!(here, py)?;
    let throw = match asyncio::throw_into_threads(asyncio::exception_that_calls(&stay)?) {
        // A Python without ctypes: there is no other way.
        Err(error) if error.is_instance_of::<PyImportError>(py) => return Ok(()),
        throw => throw?,
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let threads = lost(py)?;
        if threads.is_empty() {
            break;
        }
        threads.into_iter().try_for_each(&throw)?;
        py.detach(|| thread::sleep(LOOK_AGAIN));
    }
    Ok(())
}

/// The threads that the interpreter's end would end, as things are.
fn lost(py: Python<'_>) -> PyResult<Vec<usize>> {
    let mut threads = asyncio::threads_not_of_python(py)?;
    threads.extend(gate::inside());
    let here = lock_std(HERE.get());
    threads.retain(|thread| !here.contains(thread));
    Ok(threads)
}

/// Stays, until the gate opens.
#[pyfunction]
fn here(py: Python<'_>) {
    let name = super::name(py);
    lock_std(HERE.get()).push(name);
    py.detach(|| {
        loop {
            gate::wait_until_open();
            let mut here = lock_std(HERE.get());
            // Who closes the gate again looks after that whether this thread is here.
            if !gate::is_closed_to(Who::Turn) {
                here.retain(|&thread| thread != name);
                break;
            }
        }
    });
}
