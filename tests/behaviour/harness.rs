//! Runs one test on its own loop, and checks for leaks at its end.
//!
//! Besides its own assertions, a test fails if the loop's exception handler was called without `take_unhandled`, if an
//! error was unraisable, if a coroutine was never awaited, if a Rust future is not dropped, or if the loop cannot be
//! collected.

use std::ffi::CStr;
use std::future::Future;
use std::panic;
use std::sync::{Arc, Mutex, Once};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict, PyList, PyModule, PyWeakrefMethods, PyWeakrefReference};
use pyo3_asyncio::custom::Runtime;
use pyo3_asyncio::{PyTask, into_future_with_loop};
use tokio::sync::oneshot;

use super::counters::{Counters, PATIENCE, Tracked};
use super::event_loop::LoopKind;
use super::interpreter;
use crate::rt;

/// Spawns a task of the runtime without locals, and returns its output.
pub(super) fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
where
    F: Future<Output: Send> + Send + 'static,
{
    let (done, is_done) = oneshot::channel();
    rt::Runtime::spawn(async move {
        // The receiver may be dropped.
        let _ = done.send(future.await);
    });
    async { is_done.await.expect("the task does not panic") }
}

/// Turns each behaviour into a module with a test for every kind of loop.
macro_rules! matrix {
    ($(fn $name:ident($cx:ident: &Cx<'_>) $body:block)*) => {$(
        mod $name {
            use super::*;
            use $crate::behaviour::event_loop::LoopKind;
            use $crate::behaviour::harness::{Cx, test};

            fn behaviour($cx: &Cx<'_>) -> PyResult<()> {
                $body
                Ok(())
            }

            #[test]
            fn asyncio() {
                test(LoopKind::Asyncio, behaviour);
            }

            on_one_runtime! {
                #[test]
                fn asyncio_without_add_reader() {
                    test(LoopKind::AsyncioWithoutAddReader, behaviour);
                }

                #[cfg(unix)]
                #[test]
                fn uvloop() {
                    test(LoopKind::Uvloop, behaviour);
                }

                #[cfg(unix)]
                #[test]
                fn uvloop_without_add_reader() {
                    test(LoopKind::UvloopWithoutAddReader, behaviour);
                }
            }

            on_tokio! {
                #[cfg(all(unix, not(pyo3_asyncio_no_unix)))]
                #[test]
                fn one_thread() {
                    test(LoopKind::Tokio, behaviour);
                }
            }
        }
    )*};
}

/// The context of a test.
pub(super) struct Cx<'py> {
    pub(super) py: Python<'py>,
    pub(super) kind: LoopKind,
    pub(super) event_loop: Bound<'py, PyAny>,
    pub(super) counters: Arc<Counters>,
    /// The calls of the loop's exception handler.
    unhandled: Bound<'py, PyList>,
}

pub(super) fn test(kind: LoopKind, behaviour: fn(&Cx<'_>) -> PyResult<()>) {
    start();
    Python::attach(|py| {
        let result = Cx::new(py, kind).and_then(|cx| {
            behaviour(&cx)?;
            cx.end()
        });
        if let Err(error) = result {
            error.display(py);
            panic!("{error}");
        }
    });
}

impl<'py> Cx<'py> {
    fn new(py: Python<'py>, kind: LoopKind) -> PyResult<Self> {
        let event_loop = kind.new_event_loop(py)?;
        let unhandled = PyList::empty(py);
        let record = unhandled.clone().unbind();
        let handler = PyCFunction::new_closure(py, None, None, move |args, _| {
            record.bind(args.py()).append(args.get_item(1)?)
        })?;
        event_loop.call_method1("set_exception_handler", (handler,))?;
        Ok(Self {
            py,
            kind,
            event_loop,
            counters: Arc::default(),
            unhandled,
        })
    }

    /// Turns the loop's debug mode on. Returns whether it works: without a Python function on the stack, as here, uvloop's does not
    /// in CPython 3.15, whose `sys._getframe` then raises `SystemError`.
    pub(super) fn set_debug(&self) -> PyResult<bool> {
        let is_uvloop = matches!(
            self.kind,
            LoopKind::Uvloop | LoopKind::UvloopWithoutAddReader
        );
        if is_uvloop && self.py.version_info() >= (3, 15) {
            return Ok(false);
        }
        self.event_loop.call_method1("set_debug", (true,))?;
        Ok(true)
    }

    /// Makes a Python module for this test only.
    pub(super) fn module(&self, code: &CStr) -> PyResult<Bound<'py, PyModule>> {
        // `PyModule::from_code` would import the module, which all tests would share.
        let module = PyModule::new(self.py, "behaviour")?;
        self.py.run(code, Some(&module.dict()), None)?;
        Ok(module)
    }

    /// Runs the loop until a Rust future is done.
    pub(super) fn block_on<F, T>(&self, future: F) -> PyResult<T>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        let future = self.tracked(future);
        rt::run_until_complete(self.event_loop.clone(), future)
    }

    /// Runs the loop until a Python awaitable is done.
    pub(super) fn run(&self, awaitable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop
            .call_method1("run_until_complete", (awaitable,))
    }

    /// Runs the loop until a gate is open.
    pub(super) fn wait_for<T: Send + 'static>(&self, gate: oneshot::Receiver<T>) -> PyResult<T> {
        self.block_on(async { Ok(gate.await.expect("the gate is opened, not dropped")) })
    }

    /// Runs the loop until it has run every job that was posted so far, and the callbacks that these scheduled.
    pub(super) fn catch_up(&self) -> PyResult<()> {
        let sleep = self.py.import("asyncio")?.getattr("sleep")?;
        for _ in 0..2 {
            // Jobs run in the order of their posting, so this one is the last.
            self.block_on(self.start(sleep.call1((0,))?)?)?;
        }
        Ok(())
    }

    /// Starts a Python awaitable on the loop.
    pub(super) fn start(&self, awaitable: Bound<'py, PyAny>) -> PyResult<PyTask> {
        into_future_with_loop(self.event_loop.clone(), awaitable)
    }

    /// Starts a Rust future, tracked, and returns its Python future.
    pub(super) fn spawn<F, T>(&self, future: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'a> IntoPyObject<'a> + Send + 'static,
    {
        let future = self.tracked(future);
        rt::future_into_py_with_loop(self.event_loop.clone(), future)
    }

    /// Calls a Rust function on this thread while the loop runs.
    pub(super) fn call_on_loop<F>(&self, function: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let function = Mutex::new(Some(function));
        let function = PyCFunction::new_closure(self.py, None, None, move |args, _| {
            let function = function.lock().expect("taking does not panic").take();
            function.expect("it is called once")(args.py())
        })?;
        let python = self.module(c"async def calls(function):\n    return function()")?;
        self.run(&python.call_method1("calls", (function,))?)
    }

    /// Makes a Rust future that is not `Send` on this thread while the loop runs, tracked, and returns its Python future.
    pub(super) fn spawn_local<F, T>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = PyResult<T>> + 'static,
        T: for<'a> IntoPyObject<'a> + Send + 'static,
    {
        let counters = Arc::clone(&self.counters);
        self.call_on_loop(move |py| {
            let future = Tracked::new(&counters, make());
            rt::local_future_into_py(py, future).map(Bound::unbind)
        })
    }

    pub(super) fn tracked<F>(&self, future: F) -> Tracked<F> {
        Tracked::new(&self.counters, future)
    }

    /// A Python function without arguments that opens a gate.
    pub(super) fn signal(&self) -> PyResult<(Bound<'py, PyCFunction>, oneshot::Receiver<()>)> {
        let (sender, gate) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let signal = PyCFunction::new_closure(self.py, None, None, move |_, _| {
            let sender = sender.lock().expect("sending does not panic").take();
            sender.is_some_and(|sender| sender.send(()).is_ok())
        })?;
        Ok((signal, gate))
    }

    /// Takes the messages and exceptions of the exception handler's calls, which the test expects.
    pub(super) fn take_unhandled(&self) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
        let calls = self.unhandled.iter();
        let calls = calls.map(|context| {
            let message = context.get_item("message")?.extract()?;
            let exception = context.cast::<PyDict>()?.get_item("exception")?;
            let exception = exception.unwrap_or_else(|| self.py.None().into_bound(self.py));
            Ok((message, exception))
        });
        let calls = calls.collect::<PyResult<_>>()?;
        self.unhandled.call_method0("clear")?;
        Ok(calls)
    }

    /// Runs a full collection. `gc.collect` does nothing while another thread collects, and does not report it.
    pub(super) fn collect_garbage(&self) -> PyResult<()> {
        let gc = self.py.import("gc")?;
        let ended = || -> PyResult<usize> {
            let oldest = gc.call_method0("get_stats")?.get_item(2)?;
            oldest.get_item("collections")?.extract()
        };
        loop {
            let before = ended()?;
            gc.call_method0("collect")?;
            if ended()? > before {
                return Ok(());
            }
            self.py.detach(std::thread::yield_now);
        }
    }

    fn end(self) -> PyResult<()> {
        let py = self.py;
        if !self.is_closed()? {
            self.cancel_all_tasks()?;
            self.event_loop.call_method0("close")?;
        }
        self.collect_garbage()?;
        self.counters
            .wait_for_drops(py, self.counters.counts().made);
        let unhandled = self.take_unhandled()?;
        assert!(
            unhandled.is_empty(),
            "the exception handler was called: {unhandled:?}"
        );
        let complaints = complaints(py).bind(py);
        let heard = complaints.repr()?.to_string();
        let any = !complaints.is_empty();
        complaints.call_method0("clear")?;
        assert!(!any, "Python complained: {heard}");
        let event_loop = PyWeakrefReference::new(&self.event_loop)?;
        drop(self);
        wait_until_collected(&event_loop)
    }

    fn is_closed(&self) -> PyResult<bool> {
        self.event_loop.call_method0("is_closed")?.extract()
    }

    fn cancel_all_tasks(&self) -> PyResult<()> {
        self.module(
            c"
import asyncio

async def cancel_all_tasks():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
",
        )?
        .call_method0("cancel_all_tasks")
        .and_then(|coroutine| self.run(&coroutine))
        .map(drop)
    }
}

/// Waits until an object is freed: a Rust thread drops its references shortly after it has posted a result.
fn wait_until_collected(object: &Bound<'_, PyWeakrefReference>) -> PyResult<()> {
    let py = object.py();
    let begin = Instant::now();
    loop {
        py.import("gc")?.call_method0("collect")?;
        let Some(object) = object.upgrade() else {
            return Ok(());
        };
        assert!(begin.elapsed() < PATIENCE, "{object:?} is kept alive");
        drop(object);
        py.detach(std::thread::yield_now);
    }
}

/// The unraisable errors and the warnings so far, which a test would not see.
fn complaints(py: Python<'_>) -> &Py<PyList> {
    static COMPLAINTS: PyOnceLock<Py<PyList>> = PyOnceLock::new();
    COMPLAINTS
        .get_or_try_init(py, || -> PyResult<_> {
            let complaints = PyList::empty(py);
            let python = PyModule::from_code(
                py,
                c"
import sys
import warnings

def record(complaints):
    def unraisable(args):
        complaints.append(f'unraisable: {args.err_msg} {args.exc_value!r} in {args.object!r}')

    def warning(message, category, *args, **kwargs):
        complaints.append(f'{category.__name__}: {message}')

    sys.unraisablehook = unraisable
    warnings.showwarning = warning
    warnings.simplefilter('always', RuntimeWarning)
",
                c"complaints.py",
                c"complaints",
            )?;
            python.call_method1("record", (&complaints,))?;
            Ok(complaints.unbind())
        })
        .expect("Python can record errors and warnings")
}

/// Prepares the process for its tests, once.
fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        rt::start();
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<&str>();
            if !text.is_some_and(|text| text.starts_with("on purpose")) {
                report(panic);
            }
        }));
        interpreter::initialize(|py| {
            complaints(py);
        });
    });
}
