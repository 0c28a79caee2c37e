//! What every runtime has to do, and where a future that is not `Send` can run. Behaviour in depth is tested on tokio.

#![cfg(all(
    feature = "async-std-runtime",
    feature = "smol-runtime",
    feature = "tokio-runtime"
))]

use std::future::Future;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_asyncio::generic::{self, Runtime};
use pyo3_asyncio::{async_std, smol, tokio};

/// Python's main thread is none of the tests'.
fn attached(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    static INITIALIZED: Once = Once::new();
    INITIALIZED.call_once(|| {
        std::thread::spawn(Python::initialize)
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

/// `asyncio.sleep(0, value)`
fn python_echo(py: Python<'_>, value: usize) -> PyResult<Bound<'_, PyAny>> {
    py.import("asyncio")?.call_method1("sleep", (0, value))
}

/// Awaits a Rust future that gives way to others, then Python, on the runtime's own terms.
async fn cross(rust: impl Future<Output = ()>) -> PyResult<usize> {
    rust.await;
    let python = Python::attach(|py| {
        let locals = tokio::get_current_locals(py)?;
        pyo3_asyncio::into_future_with_locals(&locals, python_echo(py, 5)?)
    })?;
    let value = python.await?;
    Python::attach(|py| value.extract(py))
}

#[test]
fn async_std_crosses_both_ways() {
    attached(|py| {
        let sleep = ::async_std::task::sleep(Duration::from_millis(1));
        assert_eq!(async_std::run(py, cross(sleep))?, 5);
        Ok(())
    });
}

#[test]
fn smol_crosses_both_ways() {
    attached(|py| {
        let sleep = async {
            ::smol::Timer::after(Duration::from_millis(1)).await;
        };
        assert_eq!(smol::run(py, cross(sleep))?, 5);
        Ok(())
    });
}

/// A runtime of somebody's own: a thread for each future.
struct Threads;

impl Runtime for Threads {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        std::thread::spawn(|| ::smol::block_on(future));
    }
}

#[test]
fn a_runtime_of_ones_own_crosses_both_ways() {
    attached(|py| {
        assert_eq!(generic::run::<Threads, _, _>(py, cross(async {}))?, 5);
        Ok(())
    });
}

/// Not `Send`: it holds an `Rc` across an await of tokio's and one of Python's.
async fn not_send() -> PyResult<usize> {
    let value = Rc::new(7);
    ::tokio::time::sleep(Duration::from_millis(1)).await;
    let python = Python::attach(|py| tokio::into_future(python_echo(py, *value)?))?;
    let value = python.await?;
    Python::attach(|py| value.extract(py))
}

#[pyfunction]
fn local(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    tokio::local_future_into_py(py, not_send())
}

#[pyfunction]
fn local_for_ever(py: Python<'_>, held: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    tokio::local_future_into_py(py, async move {
        let _held = Rc::new(held);
        std::future::pending::<PyResult<()>>().await
    })
}

/// Runs `main()` of a piece of Python that can call the functions above.
fn run_python(py: Python<'_>, code: &std::ffi::CStr) -> PyResult<()> {
    let module = PyModule::new(py, "local_futures")?;
    module.add_function(wrap_pyfunction!(local, &module)?)?;
    module.add_function(wrap_pyfunction!(local_for_ever, &module)?)?;
    py.run(code, Some(&module.dict()), None)?;
    let main = module.getattr("main")?.call0()?;
    py.import("asyncio")?.call_method1("run", (main,)).map(drop)
}

#[test]
fn the_loop_of_its_thread_polls_a_future_that_is_not_send() {
    attached(|py| {
        run_python(
            py,
            c"
async def main():
    assert await local() == 7
",
        )
    });
}

#[test]
fn cancelling_drops_a_future_that_is_not_send() {
    attached(|py| {
        run_python(
            py,
            c"
import asyncio, weakref
class Held: pass

async def main():
    held = Held()
    gone = weakref.ref(held)
    future = local_for_ever(held)
    del held
    await asyncio.sleep(0)
    assert gone() is not None
    future.cancel()
    while gone() is not None:
        await asyncio.sleep(0)
",
        )
    });
}

#[test]
fn a_loop_that_closes_drops_a_future_that_is_not_send() {
    attached(|py| {
        let gone = PyList::empty(py);
        let builtins = py.import("builtins")?;
        builtins.setattr("gone", &gone)?;
        run_python(
            py,
            c"
import weakref
class Held: pass

async def main():
    held = Held()
    weakref.finalize(held, gone.append, True)
    main.future = local_for_ever(held)
",
        )?;
        builtins.delattr("gone")?;
        assert_eq!(gone.len(), 1);
        Ok(())
    });
}

#[test]
fn where_nobody_polls_a_future_that_is_not_send_the_error_says_where_somebody_does() {
    attached(|py| {
        let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
        let refused = tokio::local_future_into_py_with_loop(event_loop.clone(), not_send());
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("on the thread that runs the event loop"),
            "{error}"
        );
        event_loop.call_method0("close").map(drop)
    });
}

#[test]
fn a_local_set_polls_a_future_that_is_not_send() {
    /// On a thread that is inside of a `LocalSet`.
    async fn on_a_local_set() -> PyResult<usize> {
        let future =
            Python::attach(|py| tokio::into_future(tokio::local_future_into_py(py, not_send())?))?;
        let value = future.await?;
        Python::attach(|py| value.extract(py))
    }

    attached(|py| {
        let value = tokio::run(py, async {
            let locals = Python::attach(tokio::get_current_locals)?;
            let on_another_thread = ::tokio::task::spawn_blocking(|| {
                let runtime = ::tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("the system has descriptors for a runtime");
                let future = tokio::scope_local(locals, on_a_local_set());
                ::tokio::task::LocalSet::new().block_on(&runtime, future)
            });
            on_another_thread.await.expect("it does not panic")
        })?;
        assert_eq!(value, 7);
        Ok(())
    });
}

#[test]
fn async_std_s_own_executor_polls_a_future_that_is_not_send() {
    attached(|py| {
        let value = async_std::run(py, async {
            let locals = Python::attach(async_std::get_current_locals)?;
            let on_another_thread = std::thread::spawn(|| {
                let not_send = async {
                    let value = Rc::new(7);
                    ::async_std::task::sleep(Duration::from_millis(1)).await;
                    Ok(*value)
                };
                let future = async {
                    let future = Python::attach(|py| {
                        async_std::into_future(async_std::local_future_into_py(py, not_send)?)
                    })?;
                    let value = future.await?;
                    Python::attach(|py| value.extract::<usize>(py))
                };
                ::async_std::task::block_on(async_std::scope_local(locals, future))
            });
            let joined = ::async_std::task::spawn_blocking(|| on_another_thread.join());
            joined.await.expect("it does not panic")
        })?;
        assert_eq!(value, 7);
        Ok(())
    });
}

/// Calls `use_child` in a child of this process, and says whether the child ended well.
#[cfg(unix)]
fn in_child(py: Python<'_>, use_child: fn(Python<'_>) -> PyResult<()>) -> PyResult<bool> {
    let os = py.import("os")?;
    let child: i32 = os.call_method0("fork")?.extract()?;
    if child != 0 {
        let (_, status): (i32, i32) = os.call_method1("waitpid", (child, 0))?.extract()?;
        return Ok(status == 0);
    }
    let used = use_child(py);
    if let Err(error) = &used {
        error.display(py);
    }
    os.call_method1("_exit", (i32::from(used.is_err()),))?;
    Ok(false)
}

#[cfg(unix)]
#[test]
fn an_executor_that_stayed_behind_in_the_parent_is_an_error_in_the_child() {
    use pyo3_asyncio::err::RuntimeStopped;

    fn refuses(py: Python<'_>) -> PyResult<()> {
        for error in [
            async_std::run(py, async { Ok(()) }).unwrap_err(),
            smol::run(py, async { Ok(()) }).unwrap_err(),
        ] {
            assert!(error.is_instance_of::<RuntimeStopped>(py), "{error}");
            assert!(error.to_string().contains("parent"), "{error}");
        }
        tokio::run(py, async { Ok(()) })
    }

    attached(|py| {
        async_std::run(py, async { Ok(()) })?;
        smol::run(py, async { Ok(()) })?;
        tokio::run(py, async { Ok(()) })?;
        assert!(in_child(py, refuses)?);
        Ok(())
    });
}
