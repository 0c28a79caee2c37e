//! `block_on`: a Python thread waits for a Rust future. Ctrl-C needs real processes: see `pytests`.

#![cfg(all(
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

use std::ffi::CStr;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::thread;

use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_asyncio::custom::{self, Runtime};
use pyo3_asyncio::err::RustPanic;
use pyo3_asyncio::{TaskLocals, async_std, smol, tokio};

/// Runs a test attached. No test runs on Python's main thread.
fn attached(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    static INITIALIZED: Once = Once::new();
    INITIALIZED.call_once(|| {
        thread::spawn(|| {
            Python::initialize();
            Python::attach(|py| py.import("threading").map(drop)).expect("it is there");
        })
        .join()
        .expect("Python can be initialized");
    });
    Python::attach(|py| {
        test(py).unwrap_or_else(|error| {
            error.display(py);
            panic!("{error}");
        });
    });
}

fn python<'py>(py: Python<'py>, code: &CStr) -> PyResult<Bound<'py, PyModule>> {
    let module = PyModule::new(py, "block_on")?;
    py.run(code, Some(&module.dict()), None)?;
    Ok(module)
}

/// Calls a function inside a coroutine, on a loop of each kind.
fn on_each_loop(
    py: Python<'_>,
    function: impl Fn(Python<'_>) -> PyResult<()> + Send + Sync + 'static,
) -> PyResult<()> {
    let function = PyCFunction::new_closure(py, None, None, move |args, _| function(args.py()))?;
    let python = python(
        py,
        c"
import asyncio
import uvloop

async def main(function):
    function()
    await asyncio.sleep(0)

def on_each_loop(function):
    for make in asyncio.new_event_loop, uvloop.new_event_loop:
        loop = make()
        try:
            loop.run_until_complete(main(function))
        finally:
            loop.close()
",
    )?;
    python.call_method1("on_each_loop", (function,)).map(drop)
}

/// Yields `count` times, and is woken each time before the next poll.
async fn turns(count: usize) {
    for turn in 0..count {
        let mut first = true;
        poll_fn(|cx| {
            if !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            if turn % 2 == 0 {
                waker.wake();
            } else {
                thread::spawn(|| waker.wake());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Makes the tests that run on every runtime.
macro_rules! on_every_runtime {
    ($($runtime:ident: $block_on:path, $future_into_py:path;)*) => {$(
        mod $runtime {
            use super::*;

            #[test]
            fn block_on_returns_the_value_the_error_or_the_panic() {
                attached(|py| {
                    let borrowed = String::from("of the caller");
                    let length = $block_on(py, async {
                        turns(20).await;
                        Ok(borrowed.len())
                    })?;
                    assert_eq!(length, borrowed.len());
                    let error = $block_on(py, async {
                        turns(1).await;
                        Err::<(), _>(PyKeyError::new_err("the very one"))
                    });
                    assert!(error.unwrap_err().is_instance_of::<PyKeyError>(py));
                    let error = $block_on(py, async {
                        turns(1).await;
                        if true {
                            panic!("on purpose");
                        }
                        Ok(())
                    });
                    let error = error.unwrap_err();
                    assert!(error.is_instance_of::<RustPanic>(py), "{error}");
                    assert!(error.to_string().contains("on purpose"), "{error}");
                    Ok(())
                });
            }

            #[test]
            fn block_on_detaches_while_it_polls_and_while_it_waits() {
                attached(|py| {
                    let value = $block_on(py, async {
                        let elsewhere = thread::spawn(|| Python::attach(|_| 42));
                        let in_poll = elsewhere.join().expect("it does not panic");
                        turns(2).await;
                        Ok(in_poll)
                    })?;
                    assert_eq!(value, 42);
                    Ok(())
                });
            }

            #[test]
            fn block_on_inside_a_running_loop_blocks_the_loop_until_it_returns() {
                attached(|py| {
                    on_each_loop(py, |py| {
                        assert_eq!($block_on(py, async { turns(5).await; Ok(5) })?, 5);
                        Ok(())
                    })
                });
            }

            #[test]
            fn block_on_inside_a_poll_of_the_runtime_is_refused() {
                attached(|py| {
                    on_each_loop(py, |py| {
                        let (sender, receiver) = std::sync::mpsc::channel();
                        let future = $future_into_py(py, async move {
                            let refused = Python::attach(|py| $block_on(py, async { Ok(()) }));
                            sender.send(refused).expect("the test listens");
                            Ok(())
                        })?;
                        let receiver = std::sync::Mutex::new(receiver);
                        let refused = py.detach(|| receiver.lock().unwrap().recv());
                        let error = refused.expect("it is polled").unwrap_err();
                        assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
                        assert!(error.to_string().contains("spawn_blocking"), "{error}");
                        drop(future);
                        Ok(())
                    })
                });
            }
        }
    )*};
}

on_every_runtime! {
    on_async_std: async_std::block_on, async_std::future_into_py;
    on_smol: smol::block_on, smol::future_into_py;
    on_tokio: tokio::block_on, tokio::future_into_py;
}

#[test]
fn a_custom_runtime_has_block_on_too() {
    struct Threads;
    impl Runtime for Threads {
        fn spawn<F>(future: F)
        where
            F: Future<Output = ()> + Send + 'static,
        {
            thread::spawn(|| ::smol::block_on(future));
        }
    }
    attached(|py| {
        let value = custom::block_on::<Threads, _, _>(py, async {
            turns(3).await;
            Ok(3)
        })?;
        assert_eq!(value, 3);
        Ok(())
    });
}

#[test]
fn timers_and_spawn_of_tokio_work_inside_block_on() {
    attached(|py| {
        let value = tokio::block_on(py, async {
            ::tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let task = ::tokio::spawn(async { 42 });
            Ok(task.await.expect("the task does not panic"))
        })?;
        assert_eq!(value, 42);
        Ok(())
    });
}

#[test]
fn tokio_refuses_block_on_in_a_task_and_allows_it_in_blocking_work() {
    fn block_on() -> PyResult<u8> {
        Python::attach(|py| {
            tokio::block_on(py, async {
                turns(2).await;
                Ok(7)
            })
        })
    }
    attached(|py| {
        py.detach(|| {
            tokio::get_runtime().block_on(async {
                let task = ::tokio::spawn(async { block_on() });
                assert!(task.await.expect("it does not panic").is_err());
                let blocking = ::tokio::task::spawn_blocking(block_on);
                assert_eq!(blocking.await.expect("it does not panic")?, 7);
                let in_place = ::tokio::spawn(async { ::tokio::task::block_in_place(block_on) });
                assert_eq!(in_place.await.expect("it does not panic")?, 7);
                assert!(block_on().is_err(), "inside of tokio's own block_on");
                Ok(())
            })
        })
    });
}

#[test]
fn nested_block_on_works() {
    attached(|py| {
        let value = tokio::block_on(py, async {
            turns(1).await;
            Python::attach(|py| tokio::block_on(py, async { Ok(1) }))
        })?;
        assert_eq!(value, 1);
        Ok(())
    });
}

#[test]
fn a_poll_that_parks_its_thread_consumes_no_wake_up() {
    attached(|py| {
        let value = tokio::block_on(py, async {
            let mut first = true;
            poll_fn(|cx| {
                if !std::mem::take(&mut first) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                thread::park();
                Poll::Pending
            })
            .await;
            Ok(1)
        })?;
        assert_eq!(value, 1);
        Ok(())
    });
}

#[test]
fn awaiting_on_the_blocked_loop_is_refused_with_advice() {
    attached(|py| {
        on_each_loop(py, |py| {
            let python = python(py, c"async def answer():\n    return 42")?;
            let answer = python.getattr("answer")?.unbind();
            let awaits = async {
                turns(1).await;
                let task = Python::attach(|py| tokio::into_future(answer.bind(py).call0()?))?;
                task.await
            };
            let of_blocked_loop = tokio::get_current_locals(py)?;
            let error = tokio::block_on(py, tokio::scope(of_blocked_loop, awaits)).unwrap_err();
            assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
            assert!(error.to_string().contains("future_into_py"), "{error}");
            Ok(())
        })
    });
}

/// The Python tests cover the rest.
#[test]
fn a_background_loop_can_be_asked_for() {
    attached(|py| {
        on_each_loop(py, |py| {
            let python = python(py, c"async def answer():\n    return 42")?;
            let answer = python.getattr("answer")?.unbind();
            let locals = tokio::background_loop(py)?;
            let running = pyo3_asyncio::get_running_loop(py)?;
            assert!(!locals.event_loop(py).is(&running));
            let answer = locals.run_coroutine(move |py| answer.bind(py).call0());
            assert_eq!(tokio::block_on(py, answer.extract::<i32>())?, 42);
            Ok(())
        })
    });
}

#[test]
fn block_on_can_await_on_the_loop_of_another_thread() {
    attached(|py| {
        let python = python(
            py,
            c"
import asyncio
import threading

async def answer():
    await asyncio.sleep(0)
    return 42

loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()

def end():
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
",
        )?;
        let locals = TaskLocals::new(python.getattr("loop")?).copy_context(py)?;
        let answer = python.getattr("answer")?.unbind();
        let awaits = async {
            let task = Python::attach(|py| tokio::into_future(answer.bind(py).call0()?))?;
            task.await
        };
        let value = tokio::block_on(py, tokio::scope(locals, awaits))?;
        assert_eq!(value.extract::<i32>(py)?, 42);
        python.call_method0("end").map(drop)
    });
}

/// <https://github.com/PyO3/pyo3-async-runtimes/issues/81>
#[test]
fn run_inside_a_running_loop_names_the_alternatives() {
    attached(|py| {
        on_each_loop(py, |py| {
            let event_loop = pyo3_asyncio::get_running_loop(py)?;
            let errors = [
                tokio::run(py, async { Ok(()) }),
                tokio::run_until_complete(event_loop, async { Ok(()) }),
                pyo3_asyncio::run_forever(py),
            ];
            for error in errors {
                let error = error.unwrap_err().to_string();
                assert!(error.contains("future_into_py"), "{error}");
                assert!(error.contains("block_on"), "{error}");
            }
            Ok(())
        })
    });
}

#[test]
fn block_on_drops_the_future_in_the_runtime_context_before_it_returns() {
    struct Notes<'a>(&'a AtomicBool);
    impl Future for Notes<'_> {
        type Output = PyResult<()>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Err(PyKeyError::new_err("the very one")))
        }
    }
    impl Drop for Notes<'_> {
        fn drop(&mut self) {
            // Tokio panics outside of its context.
            drop(::tokio::spawn(async {}));
            self.0.store(true, SeqCst);
        }
    }
    attached(|py| {
        let dropped = AtomicBool::new(false);
        let error = tokio::block_on(py, Notes(&dropped)).unwrap_err();
        assert!(error.is_instance_of::<PyKeyError>(py), "{error}");
        assert!(dropped.load(SeqCst));
        Ok(())
    });
}
