//! One test: the thread that it runs on, and the event loop that it sees.
//!
//! The body of a test has a thread of its own, named after it, on which it blocks or is blocked on. So its panics carry its
//! name, what it prints is captured by whoever captures the thread that started it, and no runtime worker waits for it.

#![allow(missing_docs, reason = "not public API: what the attributes expand to")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Once;
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::outcome::{Failure, Outcome, of_panicking};
use super::thread::on_thread;
use crate::locals::{TaskLocals, current, get_current_loop, scope};
use crate::runtime::Standalone;
use crate::{asyncio, entry};

/// A test that carries `#[ignore]`. It stands beside `Test`, which users write as a literal.
#[derive(Debug)]
pub struct Ignored {
    pub name: &'static str,
    pub reason: Option<&'static str>,
}

inventory::collect!(Ignored);

type Body = Box<dyn FnOnce(TaskLocals) -> PyResult<()> + Send>;

/// A test that has not run yet, of the runtime `R`.
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
        F: Future<Output: Outcome>,
    {
        Self::new(move |locals| {
            let future = scope(locals, async { test().await.into_result() });
            R::block_on(options, future)
        })
    }

    pub fn plain<T: Outcome>(test: impl FnOnce() -> T + Send + 'static) -> Self {
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

    /// On a loop of its own, of the module's kind.
    #[must_use]
    pub fn with_event_loop(mut self, module: &'static str) -> Self {
        self.event_loop = Some(module);
        self
    }

    /// Passes with a panic only. Cargo's harness does not ask for it: it looks for the panic itself.
    #[must_use]
    pub fn should_panic(mut self, expected: Option<&'static str>) -> Self {
        self.should_panic = Some(expected);
        self
    }

    /// Runs the test in a thread of cargo's harness, which runs an event loop meanwhile.
    pub fn run(self, path: &str) -> Result<(), Failure> {
        match self.on_loop_of_its_own(name_below_crate(path)) {
            Ok(result) => result.map_err(|error| Failure::of_error(&error)),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Like `run`, for a test with `#[should_panic]`, which cannot return anything: an error is no panic.
    pub fn run_to_panic(self, path: &str) {
        if let Err(failure) = self.run(path) {
            eprintln!("{failure}");
        }
    }

    /// Runs the test as a part of a harness.
    pub fn task(self, path: &str) -> Pin<Box<dyn Future<Output = PyResult<()>> + Send>> {
        let name = name_below_crate(path);
        Box::pin(async move {
            let should_panic = self.should_panic;
            let ended = if self.event_loop.is_some() {
                let event_loop = format!("{name} (event loop)");
                let ended = on_thread(event_loop, || self.on_loop_of_its_own(name)).await;
                ended.and_then(|ended| ended)
            } else {
                self.on_loop(current(), name).await
            };
            match (should_panic, ended) {
                (Some(expected), ended) => of_panicking(ended, expected),
                (None, Ok(result)) => result,
                (None, Err(panic)) => resume_unwind(panic),
            }
        })
    }

    /// Runs a new loop in this thread until the test has ended.
    fn on_loop_of_its_own(self, name: String) -> thread::Result<PyResult<()>> {
        initialize_python();
        let event_loop = self.event_loop;
        let future = async { Ok(self.on_loop(current(), name).await) };
        Python::attach(|py| {
            let ended = entry::run::<R, _, _>(py, event_loop, future);
            // Cargo's harness ends the process without a word to Python, which would keep what it has buffered.
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
                "the test has no event loop: `await` the harness in an `async fn main` under `#[pyo3_asyncio::tokio::main]` or \
                 its like, or inside of `run`",
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

/// As cargo's harness names a test, and its thread.
fn name_below_crate(path: &str) -> String {
    let below_crate = path.split_once("::").map(|(_, name)| name);
    below_crate.unwrap_or(path).to_owned()
}

/// What a test may take as its parameter.
#[diagnostic::on_unimplemented(
    message = "a test cannot take a `{Self}`",
    label = "taken by a test",
    note = "a test takes nothing, or its event loop, as a `Py<PyAny>` or as `TaskLocals`"
)]
pub trait EventLoop: From<Py<PyAny>> {}

impl EventLoop for Py<PyAny> {}
impl EventLoop for TaskLocals {}

/// The event loop of a test that asks for it by a parameter.
///
/// # Panics
///
/// Outside of a test.
pub fn event_loop<T: EventLoop>() -> T {
    let event_loop = Python::attach(|py| get_current_loop(py).map(Bound::unbind));
    event_loop.expect("a test knows its event loop").into()
}

/// Python's main thread is the one that initializes it. A test's thread ends with the test, and another thread could then
/// be taken for the main one: so it is a thread that stays.
fn initialize_python() {
    static INITIALIZED: Once = Once::new();
    INITIALIZED.call_once(|| {
        let (initialized, is_initialized) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new()
            .name("pyo3-asyncio-main".to_owned())
            .spawn(move || {
                Python::initialize();
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
