//! One test: its thread and its event loop.
//!
//! The body of a test runs on a thread that is named after the test. So a panic message names the test, and the test may block
//! without holding a worker of the runtime. The output of the thread is captured if that of its parent thread is.

#![allow(missing_docs, reason = "not public API: what the attributes expand to")]
#![expect(
    clippy::disallowed_methods,
    reason = "the threads are those of the tests"
)]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::thread;

use async_task::Task;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::outcome::{TestFailure, TestOutput, expect_panic};
use crate::locals::{TaskLocals, current, get_current_loop, scope};
use crate::runtime::Standalone;
use crate::{asyncio, entry};

/// Marks a test that carries `#[ignore]`. `Test` has no field for this, because users write it as a literal.
#[derive(Debug)]
pub struct Ignored {
    pub name: &'static str,
    pub reason: Option<&'static str>,
}

inventory::collect!(Ignored);

type Body = Box<dyn FnOnce(TaskLocals) -> PyResult<()> + Send>;

/// A test on the runtime `R`, before it runs.
pub struct TestCase<R> {
    body: Body,
    event_loop: Option<&'static str>,
    should_panic: Option<Option<&'static str>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Standalone> TestCase<R> {
    pub fn asynchronous<F>(
        options: Option<R::Options>,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output: TestOutput>,
    {
        Self::new(move |locals| {
            let future = scope(locals, async { test().await.into_result() });
            R::block_on(options, future)
        })
    }

    pub fn plain<T: TestOutput>(test: impl FnOnce() -> T + Send + 'static) -> Self {
        Self::new(move |locals| {
            let _entered = locals.enter_thread();
            R::enter(test).into_result()
        })
    }

    fn new(body: impl FnOnce(TaskLocals) -> PyResult<()> + Send + 'static) -> Self {
        Self {
            body: Box::new(body),
            event_loop: None,
            should_panic: None,
            runtime: PhantomData,
        }
    }

    /// Runs the test on a new loop, which the module makes.
    #[must_use]
    pub fn with_event_loop(mut self, module: &'static str) -> Self {
        self.event_loop = Some(module);
        self
    }

    /// Passes only if the test panics. Not used under cargo's harness, which checks for the panic itself.
    #[must_use]
    pub fn should_panic(mut self, expected: Option<&'static str>) -> Self {
        self.should_panic = Some(expected);
        self
    }

    /// Runs the test in a thread of cargo's harness. That thread runs the event loop.
    pub fn run(self, path: &str) -> Result<(), TestFailure> {
        match self.on_new_loop(name_below_crate(path)) {
            Ok(result) => result.map_err(|error| TestFailure::of_error(&error)),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Like `run`, for a test with `#[should_panic]`, which cannot return an error. It prints the error, which is no panic.
    pub fn run_to_panic(self, path: &str) {
        if let Err(failure) = self.run(path) {
            eprintln!("{failure}");
        }
    }

    /// Makes the future that runs the test as part of [`test_harness`](super::test_harness).
    pub fn task(self, path: &str) -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> {
        let name = name_below_crate(path);
        Box::pin(async move {
            let should_panic = self.should_panic;
            let ended = if self.event_loop.is_some() {
                let event_loop = format!("{name} (event loop)");
                let ended = on_thread(event_loop, || self.on_new_loop(name)).await;
                ended.and_then(|ended| ended)
            } else {
                self.on_loop(current(), name).await
            };
            match (should_panic, ended) {
                (Some(expected), ended) => expect_panic(ended, expected),
                (None, Ok(result)) => result,
                (None, Err(panic)) => resume_unwind(panic),
            }
        })
    }

    /// Runs a new loop in this thread until the test has ended.
    fn on_new_loop(self, name: String) -> thread::Result<PyResult<()>> {
        initialize_python();
        let event_loop = self.event_loop;
        let future = async { Ok(self.on_loop(current(), name).await) };
        Python::attach(|py| {
            let ended = entry::run::<R, _, _>(py, event_loop, future);
            // Cargo's harness exits without finalizing Python, which would lose what Python has buffered.
            let flushed = asyncio::flush_standard_streams(py);
            ended
                .unwrap_or_else(|error| Ok(Err(error)))
                .map(|result| result.and(flushed))
        })
    }

    async fn on_loop(
        self,
        locals: Option<TaskLocals>,
        name: String,
    ) -> thread::Result<PyResult<()>> {
        let Some(locals) = locals else {
            return Ok(Err(PyRuntimeError::new_err(
                "the test has no event loop: `await` the test harness inside `run`, or in an `async fn main` with \
                 `#[pyo3_asyncio::tokio::main]` or the attribute of another runtime",
            )));
        };
        on_thread(name, || (self.body)(locals)).await
    }
}

impl<R> fmt::Debug for TestCase<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCase")
            .field("event_loop", &self.event_loop)
            .field("should_panic", &self.should_panic)
            .finish_non_exhaustive()
    }
}

/// The name that cargo's harness gives to a test and to its thread.
fn name_below_crate(path: &str) -> String {
    let below_crate = path.split_once("::").map(|(_, name)| name);
    below_crate.unwrap_or(path).to_owned()
}

/// The type of a test's parameter.
#[diagnostic::on_unimplemented(
    message = "a test cannot take a `{Self}`",
    label = "taken by a test",
    note = "a test takes nothing, or its event loop, as a `Py<PyAny>` or as `TaskLocals`"
)]
pub trait EventLoop: From<Py<PyAny>> {}

impl EventLoop for Py<PyAny> {}
impl EventLoop for TaskLocals {}

/// The event loop for the parameter of a test.
///
/// # Panics
///
/// Outside a test.
pub fn event_loop<T: EventLoop>() -> T {
    let event_loop = Python::attach(|py| get_current_loop(py).map(Bound::unbind));
    event_loop.expect("a test knows its event loop").into()
}

/// Initializes Python in a thread that never ends. That thread becomes Python's main thread. If a test's thread did and then
/// ended, a later thread could pass for the main thread.
fn initialize_python() {
    static INITIALIZED: Once = Once::new();
    INITIALIZED.call_once(|| {
        let (initialized, is_initialized) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new()
            .name("pyo3-asyncio-main".to_owned())
            .spawn(move || {
                asyncio::initialize();
                let result = Python::attach(entry::prepare_interpreter);
                drop(initialized.send(result));
                loop {
                    thread::park();
                }
            })
            .expect("the system has a thread for Python");
        let prepared = is_initialized.recv().expect("the thread answers");
        prepared.expect("Python's standard library can be imported");
    });
}

/// Runs a blocking function in a new thread. The future resolves to its result, or to the payload of its panic.
pub(super) fn on_thread<T: Send + 'static>(
    name: String,
    function: impl FnOnce() -> T + Send + 'static,
) -> Task<thread::Result<T>> {
    let future = async { catch_unwind(AssertUnwindSafe(function)) };
    // The first poll completes the future, so nothing schedules it again.
    let (runnable, task) = async_task::spawn(future, drop);
    thread::Builder::new()
        .name(name)
        .spawn(move || runnable.run())
        .expect("the system has a thread for a test");
    task
}
