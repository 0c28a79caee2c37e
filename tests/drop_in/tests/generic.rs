//! Programs with a custom runtime: `generic` and its traits.

use std::any::Any;
use std::cell::OnceCell;
use std::convert::Infallible;
use std::ffi::CStr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyInt};
use pyo3_async_runtimes::generic::{
    ContextExt, JoinError, LocalContextExt, Runtime, SpawnLocalExt, future_into_py,
    future_into_py_with_locals, get_current_locals, get_current_loop, into_future, run,
    run_until_complete,
};
use pyo3_async_runtimes::{TaskLocals, err::RustPanic};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{self, LocalSet};
use tokio::time::sleep;

static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("own").enable_all();
    builder.build().expect("the system has threads for it")
});

tokio::task_local! {
    static LOCALS: OnceCell<TaskLocals>;
}

fn cell(locals: TaskLocals) -> OnceCell<TaskLocals> {
    OnceCell::from(locals)
}

/// A tokio of the program, with a custom handle and error.
struct Own;

struct OwnHandle(task::JoinHandle<()>);

struct OwnError(task::JoinError);

impl Future for OwnHandle {
    type Output = Result<(), OwnError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(OwnError)
    }
}

impl JoinError for OwnError {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.into_panic()
    }
}

impl Runtime for Own {
    type JoinError = OwnError;
    type JoinHandle = OwnHandle;

    fn spawn<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        OwnHandle(TOKIO.spawn(fut))
    }

    fn spawn_blocking<F>(f: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        OwnHandle(TOKIO.spawn_blocking(f))
    }
}

impl SpawnLocalExt for Own {
    fn spawn_local<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + 'static,
    {
        OwnHandle(task::spawn_local(fut))
    }
}

impl ContextExt for Own {
    fn scope<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(cell(locals), fut))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS
            .try_with(|cell| cell.get().cloned())
            .unwrap_or_default()
    }
}

impl LocalContextExt for Own {
    fn scope_local<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R>>>
    where
        F: Future<Output = R> + 'static,
    {
        Box::pin(LOCALS.scope(cell(locals), fut))
    }
}

/// The tokio that the caller has entered, with tokio's own handle and error.
struct Entered;

impl Runtime for Entered {
    type JoinError = task::JoinError;
    type JoinHandle = task::JoinHandle<()>;

    fn spawn<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Handle::current().spawn(fut)
    }

    fn spawn_blocking<F>(f: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        Handle::current().spawn_blocking(f)
    }
}

impl ContextExt for Entered {
    fn scope<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Own::scope(locals, fut)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        Own::get_task_locals()
    }
}

const SHORT: Duration = Duration::from_millis(1);

const PYTHON: &CStr = c"
import asyncio
import contextvars

variable = contextvars.ContextVar('variable', default='unset')

async def get():
    await asyncio.sleep(0)
    return variable.get()

async def wait_with(value, function):
    variable.set(value)
    return await function()

async def cancel(function, wait_until_polled):
    future = asyncio.ensure_future(function())
    await asyncio.to_thread(wait_until_polled)
    future.cancel()
    try:
        await future
    except asyncio.CancelledError:
        return 'cancelled'
";

/// Imports the module above once, so that all tests share its variable.
fn python(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = || PyModule::from_code(py, PYTHON, c"generic.py", c"generic").map(Bound::unbind);
    Ok(MODULE.get_or_try_init(py, module)?.bind(py))
}

fn attached(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    Python::initialize();
    Python::attach(|py| test(py).unwrap_or_else(|error| panic!("{error}")));
}

/// Makes a Python function of a closure.
fn callback<T>(
    py: Python<'_>,
    function: impl Fn(Python<'_>) -> PyResult<T> + Send + Sync + 'static,
) -> PyResult<Bound<'_, PyCFunction>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    PyCFunction::new_closure(py, None, None, move |arguments, _| function(arguments.py()))
}

/// The value of Python's variable in the context of the polled task.
async fn variable<R: Runtime + ContextExt>() -> PyResult<String> {
    let value = Python::attach(|py| into_future::<R>(python(py)?.call_method0("get")?))?;
    let value = value.await?;
    Python::attach(|py| value.extract(py))
}

/// Whether every function that returns a task's locals agrees.
fn has_its_locals<R: Runtime + ContextExt>(py: Python<'_>) -> PyResult<bool> {
    let Some(scoped) = R::get_task_locals() else {
        return Ok(false);
    };
    let found = get_current_locals::<R>(py)?;
    let event_loop = get_current_loop::<R>(py)?;
    Ok(found.event_loop(py).is(&event_loop)
        && scoped.event_loop(py).is(&event_loop)
        && scoped.context(py).is(found.context(py)))
}

fn python_awaits_what_awaits_python<R: Runtime + ContextExt>() {
    attached(|py| {
        let rust = callback(py, |py| {
            let _entered = TOKIO.enter();
            let future = future_into_py::<R, _, _>(py, async {
                sleep(SHORT).await;
                assert!(Python::attach(has_its_locals::<R>)?);
                variable::<R>().await
            })?;
            Ok(future.unbind())
        })?;
        let main = python(py)?.call_method1("wait_with", ("set", rust))?;
        let value = py.import("asyncio")?.call_method1("run", (main,))?;
        assert_eq!(value.extract::<String>()?, "set");
        Ok(())
    });
}

#[test]
fn python_awaits_a_future_on_a_custom_runtime() {
    python_awaits_what_awaits_python::<Own>();
}

#[test]
fn python_awaits_a_future_on_the_entered_runtime() {
    python_awaits_what_awaits_python::<Entered>();
}

#[test]
fn a_future_has_its_given_locals() {
    attached(|py| {
        let rust = callback(py, |py| {
            let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
            let context = locals.context(py).unbind();
            let future = future_into_py_with_locals::<Own, _, _>(py, locals, async move {
                Python::attach(|py| {
                    let locals = get_current_locals::<Own>(py)?;
                    Ok(has_its_locals::<Own>(py)? && locals.context(py).is(context.bind(py)))
                })
            })?;
            Ok(future.unbind())
        })?;
        let main = python(py)?.call_method1("wait_with", ("set", rust))?;
        let value = py.import("asyncio")?.call_method1("run", (main,))?;
        assert!(value.extract::<bool>()?);
        Ok(())
    });
}

#[test]
fn a_task_spawned_in_a_scope_awaits_python() {
    attached(|py| {
        let (value, answer) = run::<Own, _, _>(py, async {
            let locals = Python::attach(|py| {
                let locals = get_current_locals::<Own>(py)?;
                let context = locals.context(py);
                context.call_method1(
                    "run",
                    (python(py)?.getattr("variable")?.getattr("set")?, "set"),
                )?;
                Ok::<_, PyErr>(locals)
            })?;
            let (sender, receiver) = oneshot::channel();
            let task = Own::spawn(Own::scope(locals, async {
                let results = async {
                    let answer = Python::attach(|py| {
                        assert!(has_its_locals::<Own>(py)?);
                        let answer = future_into_py::<Own, _, _>(py, async { Ok(42) })?;
                        let event_loop = answer.call_method0("get_loop")?;
                        assert!(event_loop.is(get_current_loop::<Own>(py)?));
                        into_future::<Own>(answer)
                    })?;
                    let answer = answer.await?;
                    let answer = Python::attach(|py| answer.extract::<u8>(py))?;
                    Ok::<_, PyErr>((variable::<Own>().await?, answer))
                };
                assert!(sender.send(results.await).is_ok());
            }));
            assert!(task.await.is_ok());
            receiver.await.expect("the task has sent it")
        })?;
        assert_eq!((value.as_str(), answer), ("set", 42));
        Ok(())
    });
}

/// Sends in its drop whether the task has locals.
struct Dropped(mpsc::Sender<bool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(Own::get_task_locals().is_some());
    }
}

#[test]
fn a_cancelled_future_is_dropped_in_its_scope() {
    attached(|py| {
        let (dropped, is_dropped) = mpsc::channel();
        let (polled, is_polled) = mpsc::channel();
        let rust = callback(py, move |py| {
            let (polled, dropped) = (polled.clone(), Dropped(dropped.clone()));
            let future = future_into_py::<Own, _, ()>(py, async move {
                let _dropped = dropped;
                polled.send(()).expect("Python waits for it");
                std::future::pending().await
            })?;
            Ok(future.unbind())
        })?;
        let is_polled = Mutex::new(is_polled);
        let wait_until_polled = callback(py, move |py| {
            py.detach(|| is_polled.lock().unwrap().recv().expect("it is polled"));
            Ok(())
        })?;
        let main = python(py)?.call_method1("cancel", (rust, wait_until_polled))?;
        let value = py.import("asyncio")?.call_method1("run", (main,))?;
        assert_eq!(value.extract::<String>()?, "cancelled");
        assert!(py.detach(move || is_dropped.recv().expect("it is dropped")));
        Ok(())
    });
}

#[test]
fn a_panicking_future_raises() {
    attached(|py| {
        let panicked = run::<Own, _, ()>(py, async { panic!("on purpose") });
        assert!(panicked.unwrap_err().is_instance_of::<RustPanic>(py));
        Ok(())
    });
}

#[test]
fn a_future_returns_the_python_exception_that_it_receives() {
    attached(|py| {
        let failed = run::<Own, _, ()>(py, async {
            let fails = future_into_py::<Own, _, ()>;
            let error = async { Err(PyLookupError::new_err("on purpose")) };
            let awaited = Python::attach(|py| into_future::<Own>(fails(py, error)?))?;
            awaited.await.map(drop)
        });
        assert!(failed.unwrap_err().is_instance_of::<PyLookupError>(py));
        Ok(())
    });
}

#[test]
fn one_loop_runs_several_futures_in_turn() {
    attached(|py| {
        let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
        for number in [1, 2] {
            let own = event_loop.clone().unbind();
            let future = async move {
                sleep(SHORT).await;
                let is_own = Python::attach(|py| {
                    Ok::<_, PyErr>(
                        has_its_locals::<Own>(py)? && get_current_loop::<Own>(py)?.is(&own),
                    )
                })?;
                Ok((number, is_own))
            };
            let value = run_until_complete::<Own, _, (u8, bool)>(&event_loop, future)?;
            assert_eq!(value, (number, true));
        }
        event_loop.call_method0("close").map(drop)
    });
}

/// The panic message of a task, read through the traits.
async fn panic_of<R: Runtime>(task: R::JoinHandle) -> &'static str {
    let Err(error) = task.await else {
        return "it did not fail";
    };
    if !error.is_panic() {
        return "it did not panic";
    }
    error
        .into_panic()
        .downcast::<&str>()
        .map_or("no text", |text| *text)
}

fn assert_join_handle_reports_a_panic<R: Runtime>() {
    TOKIO.block_on(async {
        assert_eq!(panic_of::<R>(R::spawn(async {})).await, "it did not fail");
        assert_eq!(
            panic_of::<R>(R::spawn(async { panic!("task") })).await,
            "task"
        );
        assert_eq!(
            panic_of::<R>(R::spawn_blocking(|| panic!("function"))).await,
            "function"
        );
    });
}

#[test]
fn the_join_handle_of_a_custom_runtime_reports_a_panic() {
    assert_join_handle_reports_a_panic::<Own>();
}

#[test]
fn the_join_handle_of_tokio_reports_a_panic() {
    assert_join_handle_reports_a_panic::<Entered>();
    let task = TOKIO.spawn(std::future::pending());
    task.abort();
    assert_eq!(
        TOKIO.block_on(panic_of::<Entered>(task)),
        "it did not panic"
    );
}

#[test]
fn every_function_has_the_type_of_its_counterpart() {
    use std::future::Ready;

    use drop_in::generic;

    type Future<T> = Ready<PyResult<T>>;

    generic::runtime::<Own, Ready<()>, fn()>();
    generic::local_runtime::<Own, Ready<()>>();
    generic::context::<Own, Ready<u8>, u8>();
    generic::local_context::<Own, Ready<Rc<u8>>, Rc<u8>>();
    generic::rust_to_python::<Own, Future<String>, String>();
    generic::local_rust_to_python::<Own, Future<NotSend>, NotSend>();
    generic::local_rust_to_python_with_locals::<Own, Future<NotSend>, NotSend>();
    generic::programs::<Own, Future<String>, String>();
    let _: fn(Bound<'_, PyAny>) -> PyResult<_> = generic::python_to_rust::<Own>;
}

struct NotSend(Rc<u8>);

impl<'py> IntoPyObject<'py> for NotSend {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        (*self.0).into_pyobject(py)
    }
}

#[test]
#[allow(
    deprecated,
    reason = "only pyo3-async-runtimes deprecates the functions"
)]
fn a_future_that_is_not_send_runs_on_the_thread_of_its_executor() {
    use pyo3_async_runtimes::generic::{local_future_into_py, local_future_into_py_with_locals};

    attached(|py| {
        let answer = run::<Own, _, _>(py, async {
            let locals = Python::attach(get_current_locals::<Own>)?;
            let (sender, receiver) = oneshot::channel();
            thread::spawn(move || {
                let home = thread::current().id();
                let number = move |number| async move {
                    let number = NotSend(Rc::new(number));
                    sleep(SHORT).await;
                    assert_eq!(thread::current().id(), home);
                    assert!(Python::attach(has_its_locals::<Own>)?);
                    Ok(number)
                };
                let both = Own::scope_local(locals.clone(), async move {
                    let both = Python::attach(|py| -> PyResult<_> {
                        let first = local_future_into_py::<Own, _, _>(py, number(20))?;
                        let second =
                            local_future_into_py_with_locals::<Own, _, _>(py, locals, number(22))?;
                        Ok([into_future::<Own>(first)?, into_future::<Own>(second)?])
                    })?;
                    let mut sum = 0;
                    for value in both {
                        let value = value.await?;
                        sum += Python::attach(|py| value.extract::<u8>(py))?;
                    }
                    Ok(sum)
                });
                let _ = sender.send(LocalSet::new().block_on(&TOKIO, both));
            });
            receiver.await.expect("the thread sends it")
        })?;
        assert_eq!(answer, 42);
        Ok(())
    });
}
