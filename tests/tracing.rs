//! The spans of the feature `tracing`, as a subscriber sees them.

#![cfg(all(feature = "tracing", feature = "tokio-runtime"))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3_asyncio::tokio::{get_current_loop, into_future, run};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<&'static str, String>;

/// Keeps the fields of every span of ours, and the spans that events come from.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    spans: Vec<Fields>,
    entered: Vec<u64>,
    /// The span that the user's own event came from.
    of_event: Option<u64>,
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
            let mut seen = self.seen();
            seen.of_event = seen.entered.last().copied();
        }
    }

    fn enter(&self, span: &Id) {
        self.seen().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut seen = self.seen();
        seen.entered.retain(|entered| *entered != span.into_u64());
    }
}

async fn named_future() -> PyResult<String> {
    tracing::info!(target: "of the user", "inside");
    let (nap, event_loop) = Python::attach(|py| {
        let module = PyModule::from_code(
            py,
            c"async def named_coroutine():\n    return 42",
            c"spans.py",
            c"spans",
        )?;
        let nap = into_future(module.call_method0("named_coroutine")?)?;
        let event_loop = format!("{:#x}", get_current_loop(py)?.as_ptr() as usize);
        Ok::<_, PyErr>((nap, event_loop))
    })?;
    nap.await?;
    Ok(event_loop)
}

#[test]
fn each_crossing_is_a_span_with_its_direction_name_loop_and_wait() -> PyResult<()> {
    let spans = Spans::default();
    tracing::subscriber::set_global_default(spans.clone()).expect("it is the first");
    Python::initialize();
    let event_loop = Python::attach(|py| run(py, named_future()))?;
    let seen = spans.seen();
    let [rust, python] = seen.spans.as_slice() else {
        panic!("two crossings, two spans: {:?}", seen.spans);
    };
    assert_eq!(rust["direction"], "rust_to_python");
    assert!(rust["name"].contains("named_future"), "{rust:?}");
    assert_eq!(python["direction"], "python_to_rust");
    assert_eq!(python["name"], "named_coroutine");
    for span in [rust, python] {
        assert_eq!(span["event_loop"], event_loop);
        assert!(span["mailbox_wait_us"].parse::<u64>().is_ok(), "{span:?}");
    }
    assert_eq!(
        seen.of_event,
        Some(1),
        "the user's events are inside of the span"
    );
    Ok(())
}
