//! A thread of Python that waits for a Rust future, without an event loop.
//!
//! # Protocol
//!
//! 1. The calling thread polls the future, detached from the interpreter and inside the runtime's context. So the future may
//!    borrow from the caller, and there is no hop. It is `Send`, since that is how PyO3 tells what may be used detached.
//! 2. A waker sets the [flag](crate::sync::wake_flag) and unparks the thread. The token of `park` alone would not do: code that
//!    is polled may park too, and take it.
//! 3. No signal ends a `park`, and the wake-up descriptor of Python's signals belongs to the loop that may run in this thread.
//!    So the main thread, which alone handles signals, looks for them every [`SIGNAL_PATIENCE`].
//! 4. The loop that runs in this thread stands still meanwhile. It is noted as [blocked](BlockedLoop), so that a future that
//!    awaits it here gets an error.
//! 5. The thread is active while it polls, and not while it waits: a fork waits for a poll, not for a wait.
//! 6. However it ends, the future is dropped here before that shows: detached, and inside the runtime's context.

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
use crate::event_loop::BlockedLoop;
use crate::panic::{Panic, catch};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::sync::activity;
use crate::sync::wake_flag::WakeFlag;

/// How long a signal may wait.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(50);

pub(crate) fn block_on<R, F, T>(py: Python<'_>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send,
    T: Send,
{
    let entry = Entry::new(py)?;
    if !py.detach(R::may_block) {
        return Err(PyRuntimeError::new_err(
            "block_on would keep a thread waiting that the runtime polls its futures on: `.await` the future there, or call \
             this in a thread for blocking work (spawn_blocking)",
        ));
    }
    let _blocked = asyncio::running_loop(py)?.map(|event_loop| BlockedLoop::new(&event_loop));
    let patience = asyncio::is_main_thread(py)?.then_some(SIGNAL_PATIENCE);
    let woken = Arc::new(Woken::new());
    let mut future = pin!(Some(future));
    let output = loop {
        match entry.detach(|| poll::<R, _>(future.as_mut(), &woken, patience)) {
            Ok(Some(output)) => break output,
            Ok(None) => match py.check_signals() {
                Ok(()) => {}
                Err(interrupt) => break Err(interrupt),
            },
            Err(panic) => break Err(rust_panic(py, panic)),
        }
    };
    let dropped = entry.detach(|| catch(|| R::enter(|| future.set(None))));
    match (dropped, output) {
        (Err(panic), Ok(_)) => Err(rust_panic(py, panic)),
        (_, output) => output,
    }
}

/// Polls the future when it is woken, until it is done. `None` when it is time to look for signals.
fn poll<R: Runtime, F: Future>(
    mut future: Pin<&mut Option<F>>,
    woken: &Arc<Woken>,
    patience: Option<Duration>,
) -> Result<Option<F::Output>, Panic> {
    let waker = Waker::from(Arc::clone(woken));
    let begin = Instant::now();
    loop {
        match patience.map(|patience| patience.saturating_sub(begin.elapsed())) {
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
    /// For this thread, which begins with a poll.
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
