//! Ctrl-C: its handler, and how a signal wakes a sleeping loop.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::event_loop::{add_reader, is_closed};
use super::lookup::{imports, intern};

imports! {
    import_partial = "functools", "partial";
    import_set_wakeup_fd = "signal", "set_wakeup_fd";
    import_socketpair = "socket", "socketpair";
    import_getsignal = "signal", "getsignal";
    import_setsignal = "signal", "signal";
    import_default_int_handler = "signal", "default_int_handler";
    import_main_thread = "threading", "main_thread";
    import_get_ident = "threading", "get_ident";
}

const SIGINT: i32 = 2;

/// Whether this is Python's main thread, which handles signals.
pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let main_thread = import_main_thread(py)?.call0()?;
    let ident = main_thread.getattr(intern!(py, "ident"))?;
    ident.eq(import_get_ident(py)?.call0()?)
}

/// Whether Ctrl-C has its default handler.
pub(crate) fn interrupt_is_default(py: Python<'_>) -> PyResult<bool> {
    let handler = import_getsignal(py)?.call1((SIGINT,))?;
    // 0 is SIG_DFL, which an embedded interpreter starts with.
    Ok(handler.is(import_default_int_handler(py)?) || handler.eq(0).unwrap_or(false))
}

/// Sets the handler of Ctrl-C and returns the previous one. Errors outside the main thread.
pub(crate) fn set_interrupt_handler<'py>(
    handler: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_setsignal(handler.py())?.call1((SIGINT, handler))
}

/// Makes each signal wake a sleeping loop, until it is removed.
///
/// Python checks for signals and then the loop sleeps, so a signal between the two would not wake it. A socket pair does:
/// Python writes to one end for each signal, and the loop watches the other. asyncio does the same, but only for
/// `loop.add_signal_handler`.
pub(crate) struct SignalsWake<'py> {
    event_loop: Bound<'py, PyAny>,
    watched: Bound<'py, PyAny>,
    written: Bound<'py, PyAny>,
}

impl<'py> SignalsWake<'py> {
    /// `None` if the loop does not watch the socket, or if signals already write to another descriptor. Main thread only.
    pub(crate) fn install(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = event_loop.py();
        let (watched, written): (Bound<'py, PyAny>, Bound<'py, PyAny>) =
            import_socketpair(py)?.call0()?.extract()?;
        let set_blocking = intern!(py, "setblocking");
        watched.call_method1(set_blocking, (false,))?;
        written.call_method1(set_blocking, (false,))?;
        let this = Self {
            event_loop: event_loop.clone(),
            watched,
            written,
        };
        match this.connect() {
            Ok(true) => Ok(Some(this)),
            Ok(false) => this.close().map(|()| None),
            Err(error) => {
                // Only the first error is reported.
                let _ = this.remove();
                Err(error)
            }
        }
    }

    /// Connects the sockets to the loop and to Python's signals. `false` if one of the two is not available.
    fn connect(&self) -> PyResult<bool> {
        let py = self.event_loop.py();
        if is_closed(&self.event_loop)? {
            return Ok(false);
        }
        let read = (self.watched.getattr(intern!(py, "recv"))?, 4096);
        let read = import_partial(py)?.call1(read)?;
        if !add_reader(&self.event_loop, &self.watched, &read)? {
            return Ok(false);
        }
        let previous = set_wakeup_descriptor(py, descriptor(&self.written)?)?;
        if previous == NO_DESCRIPTOR {
            return Ok(true);
        }
        set_wakeup_descriptor(py, previous)?;
        self.unwatch()?;
        Ok(false)
    }

    /// Idempotent. Returns an error that a signal handler raises meanwhile, such as `KeyboardInterrupt`.
    pub(crate) fn remove(&self) -> PyResult<()> {
        let py = self.event_loop.py();
        let own = descriptor(&self.written)?;
        if own == NO_DESCRIPTOR {
            return Ok(());
        }
        let current = set_wakeup_descriptor(py, NO_DESCRIPTOR)?;
        if current != own {
            // `loop.add_signal_handler` has replaced ours.
            set_wakeup_descriptor(py, current)?;
        }
        self.unwatch()?;
        self.close()
    }

    fn unwatch(&self) -> PyResult<()> {
        let remove_reader = intern!(self.event_loop.py(), "remove_reader");
        let watched = (&self.watched,);
        self.event_loop
            .call_method1(remove_reader, watched)
            .map(drop)
    }

    fn close(&self) -> PyResult<()> {
        let close = intern!(self.event_loop.py(), "close");
        self.watched.call_method0(close)?;
        self.written.call_method0(close).map(drop)
    }
}

/// What `signal.set_wakeup_fd` and a closed socket's `fileno` return for no descriptor.
const NO_DESCRIPTOR: i64 = -1;

fn descriptor(socket: &Bound<'_, PyAny>) -> PyResult<i64> {
    let fileno = intern!(socket.py(), "fileno");
    socket.call_method0(fileno)?.extract()
}

/// Returns the previous descriptor.
fn set_wakeup_descriptor(py: Python<'_>, descriptor: i64) -> PyResult<i64> {
    let quiet = PyDict::new(py);
    quiet.set_item(intern!(py, "warn_on_full_buffer"), false)?;
    let set = import_set_wakeup_fd(py)?;
    set.call((descriptor,), Some(&quiet))?.extract()
}

/// Makes Ctrl-C raise `KeyboardInterrupt`, as in `python3`. An embedded interpreter starts without a handler.
#[cfg(feature = "attributes")]
pub(crate) fn handle_interrupts(py: Python<'_>) -> PyResult<()> {
    if interrupt_is_default(py)? {
        set_interrupt_handler(import_default_int_handler(py)?)?;
    }
    Ok(())
}
