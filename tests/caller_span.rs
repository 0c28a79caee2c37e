//! The feature `tracing`: what a call brings is polled, converted and dropped inside of the span of its caller.
//!
//! <https://github.com/ai-dynamo/dynamo/issues/11397>, <https://github.com/rigetti/qcs-sdk-rust/issues/545>

#![cfg(all(feature = "tracing", feature = "tokio-runtime", feature = "attributes"))]

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use futures_lite::{Stream, StreamExt, stream};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyList};
use pyo3_asyncio::CancelHandle;
use pyo3_asyncio::tokio::{
    awaitable, call_soon, eager_future_into_py, future_into_py, into_async_generator,
    into_cancellable_coroutine, into_coroutine, local_future_into_py, run, run_coroutine,
};
use tokio::task::yield_now;
use tracing::{Level, Span, dispatcher, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

/// Whether the filter lets spans of the level debug through.
static DEBUG: AtomicBool = AtomicBool::new(false);

type Names = Vec<&'static str>;

/// The names of the current span and of those around it.
fn spans() -> Names {
    let current = Span::current();
    dispatcher::get_default(|dispatch| {
        let registry = dispatch.downcast_ref::<Registry>().expect("it is ours");
        let span = current.id().and_then(|id| registry.span(&id));
        span.map_or_else(Vec::new, |span| span.scope().map(|it| it.name()).collect())
    })
}

/// Looks where it is polled, first and later, and where its value is converted.
async fn looks() -> PyResult<Looks> {
    let first = spans();
    yield_now().await;
    Ok(Looks(vec![first, spans()]))
}

struct Looks(Vec<Names>);

impl<'py> IntoPyObject<'py> for Looks {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(mut self, py: Python<'py>) -> PyResult<Self::Output> {
        self.0.push(spans());
        PyList::new(py, self.0)
    }
}

#[pyo3_asyncio::tokio::pyfunction]
async fn exported() -> PyResult<Looks> {
    looks().await
}

#[pyo3_asyncio::tokio::pyfunction]
fn exported_stream() -> impl Stream<Item = PyResult<Looks>> {
    stream::repeat(()).take(3).then(|()| looks())
}

async fn cancellable(_cancel: CancelHandle) -> PyResult<Looks> {
    looks().await
}

const PYTHON: &std::ffi::CStr = c"
import asyncio

async def await_all(make):
    looks = []
    for awaitable in make():
        if hasattr(awaitable, '__aiter__'):
            looks += [look async for look in awaitable]
        else:
            looks.append(await awaitable)
    return looks

async def cancel(start):
    task = asyncio.ensure_future(start())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
";

/// Makes the awaitables for Python inside of a span, which is left before they are awaited.
fn make(py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
    let _caller = info_span!("caller").entered();
    let made = [
        future_into_py(py, looks())?,
        eager_future_into_py(py, looks())?,
        eager_future_into_py(py, async { Ok(Looks(vec![spans()])) })?,
        local_future_into_py(py, looks())?,
        into_coroutine(py, looks())?,
        into_cancellable_coroutine(py, cancellable)?,
        awaitable().eager_start(true).coroutine(py, looks())?,
        awaitable().local_coroutine(py, looks())?,
        into_async_generator(py, stream::repeat(()).take(3).then(|()| looks()))?,
        awaitable().local_async_generator(py, stream::repeat(()).take(3).then(|()| looks()))?,
        wrap_pyfunction!(exported, py)?.call0()?,
        wrap_pyfunction!(exported_stream, py)?.call0()?,
    ];
    Ok(made.into_iter().map(Bound::unbind).collect())
}

/// Starts a future inside of a span. It says where it is dropped.
fn start(py: Python<'_>, dropped: &mpsc::Sender<Names>) -> PyResult<Py<PyAny>> {
    struct Tells(mpsc::Sender<Names>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(spans()).expect("the test waits");
        }
    }

    let _caller = info_span!("caller").entered();
    let tells = Tells(dropped.clone());
    let future = future_into_py(py, async move {
        pending::<()>().await;
        drop(tells);
        Ok(())
    })?;
    Ok(future.unbind())
}

/// Where the functions run that Rust calls, and their conversions.
async fn calls_of_rust() -> PyResult<Vec<Vec<String>>> {
    let (call, task) = info_span!("caller").in_scope(|| {
        let task = run_coroutine(|py| {
            let look = PyList::new(py, spans())?;
            py.import("asyncio")?.call_method1("sleep", (0, look))
        });
        let both = task.and_then(|_, first| Ok((first.extract::<Vec<String>>()?, spans())));
        (call_soon(|_| Ok(spans())), both)
    });
    let (first, converted) = task.await?;
    Ok(vec![owned(call.await?), first, owned(converted)])
}

fn owned(names: Names) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

async fn main() -> PyResult<Vec<Vec<String>>> {
    let (tell, dropped) = mpsc::channel();
    let all = run_coroutine(|py| {
        let make = PyCFunction::new_closure(py, None, None, |args, _| make(args.py()))?;
        python(py)?.call_method1("await_all", (make,))
    });
    let mut looks = all.extract::<Vec<Vec<Vec<String>>>>().await?.concat();
    let cancelled = run_coroutine(move |py| {
        let start =
            PyCFunction::new_closure(py, None, None, move |args, _| start(args.py(), &tell))?;
        python(py)?.call_method1("cancel", (start,))
    });
    cancelled.await?;
    let dropped = dropped.recv_timeout(Duration::from_secs(60));
    looks.push(owned(dropped.expect("it is dropped")));
    looks.extend(calls_of_rust().await?);
    Ok(looks)
}

fn python(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    PyModule::from_code(py, PYTHON, c"spans.py", c"spans")
}

#[test]
fn the_callers_span_is_current_and_the_crossings_own_is_inside_of_it_unless_filtered()
-> PyResult<()> {
    let filter = dynamic_filter_fn(|metadata, _| {
        *metadata.level() < Level::DEBUG || DEBUG.load(Ordering::Relaxed)
    });
    let subscriber = Registry::default().with(filter);
    tracing::subscriber::set_global_default(subscriber).expect("it is the first");
    Python::initialize();
    for debug in [false, true] {
        DEBUG.store(debug, Ordering::Relaxed);
        let looks = Python::attach(|py| run(py, main()))?;
        // Eight ways make one value and three make three, with three looks each. One is ready at once, one is dropped.
        assert_eq!(looks.len(), 3 * (8 + 3 * 3) + 2 + 1 + 3);
        for names in &looks {
            // The first poll of an eager start has no span of ours. The main future has one, around the calls that it makes.
            let ours = usize::from(debug && names[0] == "crossing");
            let around = &names[ours..];
            assert_eq!(around[0], "caller", "{looks:?}");
            assert!(
                around[1..].iter().all(|name| debug && name == "crossing"),
                "{looks:?}"
            );
        }
        let inside = looks.iter().filter(|names| names[0] == "crossing");
        assert_eq!(inside.count() > looks.len() / 2, debug, "{looks:?}");
    }
    Ok(())
}
