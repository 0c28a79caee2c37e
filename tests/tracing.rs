//! The feature `tracing`: a subscriber sees a span for each crossing.

#![cfg(all(feature = "tracing", feature = "tokio-runtime", feature = "attributes"))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_asyncio::tokio::{
    eager_future_into_py, future_into_py, get_current_locals, into_cancellable_coroutine,
    into_coroutine, into_future, local_future_into_py, run,
};
use pyo3_asyncio::{CancelHandle, into_future_with_locals, into_future_with_loop};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Records the fields of the bridge's spans, and the spans of events.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    spans: Vec<Fields>,
    entered: Vec<(ThreadId, u64)>,
    /// The span of each user event, by the message of the event.
    of_events: BTreeMap<String, Option<u64>>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Spans {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().expect("noting does not panic")
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pyo3_asyncio" || metadata.is_event()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        let mut seen = self.seen();
        seen.spans.push(fields);
        Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let index = usize::try_from(span.into_u64()).expect("they are few") - 1;
        values.record(&mut Into(&mut self.seen().spans[index]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "of the user" {
            let mut fields = Fields::new();
            event.record(&mut Into(&mut fields));
            let mut seen = self.seen();
            let here = thread::current().id();
            let entered = seen.entered.iter().rfind(|(thread, _)| *thread == here);
            let entered = entered.map(|(_, span)| *span);
            let told = seen.of_events.insert(fields["message"].clone(), entered);
            assert_eq!(told, None, "each event occurs once");
        }
    }

    fn enter(&self, span: &Id) {
        let entered = (thread::current().id(), span.into_u64());
        self.seen().entered.push(entered);
    }

    fn exit(&self, span: &Id) {
        let left = (thread::current().id(), span.into_u64());
        self.seen().entered.retain(|entered| *entered != left);
    }
}

/// Emits one event. It yields first, because an eager start makes the first poll on the caller's thread.
async fn says(name: &str) -> PyResult<()> {
    tokio::task::yield_now().await;
    tracing::info!(target: "of the user", "{name}");
    Ok(())
}

/// Defines futures whose type names contain their names.
macro_rules! named {
    ($($name:ident)*) => {$(
        async fn $name() -> PyResult<()> {
            says(stringify!($name)).await
        }
    )*};
}

named! { a_future a_coroutine an_eager_start a_local_future }

async fn a_cancellable(_cancel: CancelHandle) -> PyResult<()> {
    says("a_cancellable").await
}

#[pyo3_asyncio::tokio::pyfunction]
async fn an_export() -> PyResult<()> {
    says("an_export").await
}

async fn ready_at_once() -> PyResult<()> {
    Ok(())
}

const FROM_RUST: [&str; 7] = [
    "a_future",
    "a_coroutine",
    "an_eager_start",
    "a_local_future",
    "a_cancellable",
    "an_export",
    "the_main_future",
];
const FROM_PYTHON: [&str; 3] = ["awaits_all", "with_loop", "with_locals"];

const PYTHON: &std::ffi::CStr = c"
async def awaits_all(make):
    for awaitable in make():
        await awaitable

async def with_loop():
    pass

async def with_locals():
    pass
";

/// Makes the awaitables for Python, on the loop's thread.
fn make(py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
    let made = [
        future_into_py(py, a_future())?,
        into_coroutine(py, a_coroutine())?,
        eager_future_into_py(py, an_eager_start())?,
        local_future_into_py(py, a_local_future())?,
        into_cancellable_coroutine(py, a_cancellable)?,
        wrap_pyfunction!(an_export, py)?.call0()?,
        eager_future_into_py(py, ready_at_once())?,
    ];
    Ok(made.into_iter().map(Bound::unbind).collect())
}

/// Crosses in each way, and returns the event loop as the spans record it.
async fn the_main_future() -> PyResult<String> {
    says("the_main_future").await?;
    let (tasks, event_loop) = Python::attach(|py| {
        let python = PyModule::from_code(py, PYTHON, c"spans.py", c"spans")?;
        let make = PyCFunction::new_closure(py, None, None, |args, _| make(args.py()))?;
        let locals = get_current_locals(py)?;
        let event_loop = locals.event_loop(py);
        let address = format!("{:#x}", event_loop.as_ptr() as usize);
        let tasks = [
            into_future(python.call_method1("awaits_all", (make,))?)?,
            into_future_with_loop(event_loop, python.call_method0("with_loop")?)?,
            into_future_with_locals(&locals, python.call_method0("with_locals")?)?,
        ];
        Ok::<_, PyErr>((tasks, address))
    })?;
    for task in tasks {
        task.await?;
    }
    Ok(event_loop)
}

#[test]
fn each_crossing_is_a_span_with_its_direction_name_loop_and_wait() -> PyResult<()> {
    let spans = Spans::default();
    tracing::subscriber::set_global_default(spans.clone()).expect("it is the first");
    Python::initialize();
    let event_loop = Python::attach(|py| run(py, the_main_future()))?;
    let seen = spans.seen();
    let find = |direction: &str, name: &str| {
        let is_it = |(_, span): &(usize, &Fields)| {
            span["direction"] == direction && span["name"].contains(name)
        };
        let found: Vec<_> = seen.spans.iter().enumerate().filter(is_it).collect();
        let [(index, span)] = found[..] else {
            panic!("{name} crosses once: {:?}", seen.spans);
        };
        assert_eq!(span["event_loop"], event_loop, "{span:?}");
        let wait = span.get("mailbox_wait_us").map(|wait| wait.parse::<u64>());
        assert!(matches!(wait, Some(Ok(_))), "{span:?}");
        index as u64 + 1
    };
    for name in FROM_RUST {
        let span = find("rust_to_python", &format!("::{name}"));
        assert_eq!(
            seen.of_events.get(name),
            Some(&Some(span)),
            "the event of {name} is inside its span"
        );
    }
    for name in FROM_PYTHON {
        find("python_to_rust", name);
    }
    // A future that is ready at once has no span.
    assert_eq!(seen.spans.len(), FROM_RUST.len() + FROM_PYTHON.len());
    Ok(())
}
