//! One trace of OpenTelemetry through Python and Rust. The header `traceparent` of the W3C crosses.

use std::collections::HashMap;
use std::sync::OnceLock;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_asyncio::PyTask;
use pyo3_asyncio::tokio::{into_coroutine, run_coroutine};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// The trace context of the Python code that calls.
fn context_of_python(py: Python<'_>) -> PyResult<opentelemetry::Context> {
    let carrier = PyDict::new(py);
    let propagate = py.import("opentelemetry.propagate")?;
    propagate.call_method1("inject", (&carrier,))?;
    let carrier: HashMap<String, String> = carrier.extract()?;
    Ok(TraceContextPropagator::new().extract(&carrier))
}

/// Calls an `async def` and awaits it, with the current Rust span as its trace context.
fn run_in_trace(function: Py<PyAny>) -> PyTask {
    let mut carrier = HashMap::<String, String>::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    // Called in a copy of the context, which the task then has. So nothing has to detach.
    run_coroutine(move |py| {
        let propagate = py.import("opentelemetry.propagate")?;
        let context = propagate.call_method1("extract", (carrier,))?;
        let contexts = py.import("opentelemetry.context")?;
        contexts.call_method1("attach", (context,))?;
        function.bind(py).call0()
    })
}

/// Works in a span, whose parent is the current span of Python, and awaits `callback`.
#[pyfunction]
pub(crate) fn handle(py: Python<'_>, callback: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let span = info_span!("handle");
    // An error: a filter has disabled the span.
    let _ = span.set_parent(context_of_python(py)?);
    // The span that is current at the call is current in the future, on whichever thread.
    let _entered = span.enter();
    into_coroutine(py, async {
        tokio::task::yield_now().await;
        let query = info_span!("query");
        let task = query.in_scope(|| run_in_trace(callback));
        task.await
    })
}

static SPANS: OnceLock<InMemorySpanExporter> = OnceLock::new();

/// Keeps the spans in memory. A program exports them to its collector.
pub(crate) fn init() {
    SPANS.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("recipes"));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("nothing else sets it");
        exporter
    });
}

/// The name, the trace, the span and the parent of each span of Rust that has ended.
#[pyfunction]
pub(crate) fn rust_spans() -> Vec<(String, String, String, String)> {
    let spans = SPANS
        .get()
        .and_then(|spans| spans.get_finished_spans().ok());
    let spans = spans.unwrap_or_default().into_iter().map(|span| {
        let context = &span.span_context;
        let (trace, id) = (
            context.trace_id().to_string(),
            context.span_id().to_string(),
        );
        (
            span.name.into_owned(),
            trace,
            id,
            span.parent_span_id.to_string(),
        )
    });
    spans.collect()
}
