//! Blocks a Python thread on a Rust future, without an event loop.
//!
//! # Protocol
//!
//! 1. The calling thread polls the future, detached and inside the runtime's context. So the future may borrow from the
//!    caller, and no other thread is involved. It is `Send`, because PyO3 requires that of everything used detached.
//! 2. A waker sets the [flag](crate::sync::wake_flag) and unparks the thread. The token of `park` alone is not enough: polled
//!    code may park too, and consume it.
//! 3. A signal does not end a `park`. Python can write to a descriptor for each signal, but a loop that runs in this thread may
//!    use that already. So the main thread, which alone handles signals, checks for them every [`SIGNAL_PATIENCE`].
//! 4. A loop that runs in this thread makes no progress meanwhile. It is [marked as blocked](Blocking). If this thread polls a
//!    future that waits for the loop, the future fails instead of waiting for ever. A call of Python that begins here runs on a
//!    [background loop](crate::event_loop::background), unless its [locals](crate::locals) name a loop.
//! 5. The thread is [active](crate::sync::guard) while it polls. While it waits, its activity is paused. So a fork waits for
//!    polls only.
//! 6. In every case the future is dropped before the call returns: detached, and inside the runtime's context.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::asyncio;
use crate::error::rust_panic;
use crate::locals::Blocking;
use crate::panic::{Panic, catch};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::sync::activity;
use crate::sync::wake_flag::WakeFlag;
use crate::user_value::{UserValue, drop_detached};

/// The longest time that a pending signal waits for its handler.
pub(super) const SIGNAL_PATIENCE: Duration = Duration::from_millis(50);

pub(crate) fn block_on<R, F, T>(py: Python<'_>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send,
    T: Send,
{
    let entry = Entry::new(py).and_then(|entry| match py.detach(R::may_block) {
        true => Ok(entry),
        false => Err(PyRuntimeError::new_err(
            "block_on would block a thread on which the runtime polls futures: `.await` the future instead, or call block_on \
             in a thread for blocking work (spawn_blocking)",
        )),
    });
    let (future, entry) = UserValue::new::<R>(future).keep_if_ok(py, entry)?;
    // Hides the runtime of this thread's loop, because nobody drives it meanwhile.
    #[cfg(feature = "tokio-runtime")]
    let _apart = crate::runtime::tokio::one_thread::run_here(None);
    let _blocking = Blocking::begin(py)?;
    let patience = asyncio::is_main_thread(py)?.then_some(SIGNAL_PATIENCE);
    let woken = Arc::new(Woken::new());
    let mut future = pin!(Some(future));
    let output = loop {
        match entry.detach(|| poll::<R, _>(future.as_mut(), &woken, patience)) {
            Ok(Some(output)) => break output.map(UserValue::new::<R>),
            Ok(None) => match py.check_signals() {
                Ok(()) => {}
                Err(interrupt) => break Err(interrupt),
            },
            Err(panic) => break Err(rust_panic(py, panic)),
        }
    };
    let dropped = entry.detach(|| {
        activity::rest_if_given_up();
        catch(|| R::enter_to_drop(|| future.set(None)))
    });
    match (dropped, output) {
        (Err(panic), Ok(output)) => {
            drop_detached(py, output);
            Err(rust_panic(py, panic))
        }
        (_, output) => output.map(UserValue::into_inner),
    }
}

/// Polls the future when it is woken, until it is done. `None` when it is time to check for signals.
fn poll<R: Runtime, F: Future>(
    mut future: Pin<&mut Option<F>>,
    woken: &Arc<Woken>,
    patience: Option<Duration>,
) -> Result<Option<F::Output>, Panic> {
    let waker = Waker::from(Arc::clone(woken));
    let started = Instant::now();
    loop {
        match patience.map(|patience| patience.saturating_sub(started.elapsed())) {
            None => woken.wait(thread::park),
            Some(Duration::ZERO) => return Ok(None),
            Some(left) => woken.wait(|| thread::park_timeout(left)),
        }
        if !woken.flag.take() {
            continue;
        }
        let future = future.as_mut().as_pin_mut();
        let future = future.expect("the future is polled before it is dropped");
        let polled = catch(|| R::enter(|| future.poll(&mut Context::from_waker(&waker))))?;
        if let Poll::Ready(output) = polled {
            return Ok(Some(output));
        }
    }
}

struct Woken {
    thread: Thread,
    flag: WakeFlag,
}

impl Woken {
    /// Wakes this thread. The flag starts set, so that the thread begins with a poll.
    fn new() -> Self {
        Self {
            thread: thread::current(),
            flag: WakeFlag::new(true),
        }
    }

    fn wait(&self, park: impl FnOnce()) {
        activity::pause(|| {
            if !self.flag.is_set() {
                park();
            }
        });
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flag.set();
        self.thread.unpark();
    }
}
