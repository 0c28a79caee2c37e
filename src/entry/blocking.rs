//! A thread of Python's that waits for a Rust future, without an event loop.
//!
//! # Protocol
//!
//! 1. The calling thread polls the future, detached from the interpreter and inside the runtime's context. A task of the
//!    runtime would cost a hop there and one back, and could borrow nothing of the caller's. The future is `Send`, for that is
//!    how PyO3 tells what may be used detached.
//! 2. `woken` says that the future is to be polled; who sets it unparks the thread. The token of `park` alone would not do, as
//!    code that is polled may park too, and take it.
//! 3. No signal ends a `park`, and Python's means to be told of one, the wake-up descriptor, belongs to the loop that may run
//!    in this thread. So the main thread, the only one that handles signals, looks for them every [`PATIENCE`].
//! 4. The loop that runs in this thread stands still meanwhile. It is noted as blocked, so that a future that awaits it here
//!    gets an error instead.
//! 5. It is a turn, from which the thread goes [out](gate::outside) to wait: so a fork waits for a poll, not for a wait, and a
//!    daemon thread stays outside when the process ends.
//! 6. However it ends, the future is dropped here before that shows: detached, inside the runtime's context.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::{Panic, catch, rust_panic, watch_panics};
use crate::mailbox::{Blocked, watch_process};
use crate::primitive::thread::{self, Thread};
use crate::primitive::{AtomicBool, Ordering};
use crate::runtime::Runtime;
use crate::{asyncio, gate, process};

/// How long a signal may wait.
const PATIENCE: Duration = Duration::from_millis(50);

pub(crate) fn block_on<R, F, T>(py: Python<'_>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send,
    T: Send,
{
    watch_panics(py);
    watch_process(py)?;
    let _turn = process::turn(py);
    gate::open_to_steps_if_closed_by_us();
    if !py.detach(R::may_block) {
        return Err(PyRuntimeError::new_err(
            "block_on would keep a thread waiting that the runtime polls its futures on: `.await` the future there, or call \
             this in a thread for blocking work (spawn_blocking)",
        ));
    }
    let _blocked = asyncio::running_loop(py)?.map(|event_loop| Blocked::new(&event_loop));
    let patience = asyncio::is_main_thread(py)?.then_some(PATIENCE);
    let woken = Arc::new(Woken::new());
    let mut future = pin!(Some(future));
    let output = loop {
        match py.detach(|| poll::<R, _>(future.as_mut(), &woken, patience)) {
            Ok(Some(output)) => break output,
            Ok(None) => match py.check_signals() {
                Ok(()) => {}
                Err(interrupt) => break Err(interrupt),
            },
            Err(panic) => break Err(rust_panic(py, panic)),
        }
    };
    let dropped = process::detach(py, || catch(|| R::enter(|| future.set(None))));
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
        if !woken.take() {
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
    woken: AtomicBool,
}

impl Woken {
    /// For this thread, which begins with a poll.
    fn new() -> Self {
        Self {
            thread: thread::current(),
            woken: AtomicBool::new(true),
        }
    }

    /// Whether the future is to be polled, for who polls it then.
    fn take(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    fn wait(&self, park: impl FnOnce()) {
        gate::outside(|| {
            if !self.woken.load(Ordering::Acquire) {
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
        // Not a store: after that, a poll would see what the last of several has done who wake, and no other.
        self.woken.swap(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod loom_models {
    use std::future::poll_fn;

    use super::*;
    use crate::primitive::models;
    use crate::primitive::{AtomicUsize, Ordering::Relaxed};

    /// Polls where it is called, and nowhere else.
    struct Here;

    impl Runtime for Here {
        fn spawn<F>(_: F)
        where
            F: Future<Output = ()> + Send + 'static,
        {
            unreachable!("block_on spawns nothing")
        }
    }

    /// Waits as `block_on` does for another thread, which wakes. `meanwhile` is what the first poll does then.
    fn model(meanwhile: fn()) {
        models::model(move || {
            let done = Arc::new(AtomicUsize::new(0));
            let mut other = None;
            let mut future = pin!(Some(poll_fn(|cx| {
                if other.is_none() {
                    let (done, waker) = (Arc::clone(&done), cx.waker().clone());
                    other = Some(models::thread::spawn(move || {
                        done.store(1, Relaxed);
                        waker.wake();
                    }));
                    meanwhile();
                }
                match done.load(Relaxed) {
                    1 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })));
            let woken = Arc::new(Woken::new());
            let output = poll::<Here, _>(future.as_mut(), &woken, None);
            assert!(matches!(output, Ok(Some(()))));
            future.set(None);
            other.expect("it was polled").join().unwrap();
        });
    }

    #[test]
    fn loom_a_wake_is_followed_by_a_poll() {
        model(|| ());
    }

    #[test]
    fn loom_a_poll_that_takes_the_token_of_a_wake_loses_no_wake() {
        model(thread::park);
    }

    #[test]
    fn loom_a_poll_after_two_wakes_sees_what_both_are_for() {
        models::model(|| {
            let done = Arc::new(AtomicUsize::new(0));
            let woken = Arc::new(Woken::new());
            assert!(woken.take());
            let wakers = [(); 2].map(|()| {
                let (done, waker) = (Arc::clone(&done), Waker::from(Arc::clone(&woken)));
                models::thread::spawn(move || {
                    done.fetch_add(1, Relaxed);
                    waker.wake();
                })
            });
            let seen = woken.take().then(|| done.load(Relaxed));
            for waker in wakers {
                waker.join().unwrap();
            }
            assert!(seen == Some(2) || woken.take());
        });
    }
}
