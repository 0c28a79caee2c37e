"""A trace goes from Python into Rust and back.

https://github.com/ai-dynamo/dynamo/issues/11397, https://github.com/rigetti/qcs-sdk-rust/issues/545
"""

import asyncio

import recipes
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def test_spans_of_python_and_rust_are_of_one_trace():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    async def look_up():
        await asyncio.sleep(0)
        with tracer.start_as_current_span("look_up"):
            return "found"

    async def request():
        with tracer.start_as_current_span("request"):
            result = await recipes.handle(look_up)
            assert trace.get_current_span().name == "request"
            return result

    async def main():
        results = await asyncio.gather(request(), request())
        # A span ends when the last of what is inside of it is dropped: here by the runtime, a moment after the result.
        while [name for name, *_ in recipes.rust_spans()].count("handle") < 2:
            await asyncio.sleep(0.001)
        return results

    assert asyncio.run(main()) == ["found", "found"]
    parents = {}
    for span in exporter.get_finished_spans():
        parent = span.parent and f"{span.parent.span_id:016x}"
        parents[f"{span.context.span_id:016x}"] = (span.name, f"{span.context.trace_id:032x}", parent)
    for name, trace_id, span_id, parent in recipes.rust_spans():
        parents[span_id] = (name, trace_id, parent)

    def path(span_id):
        name, trace_id, parent = parents[span_id]
        if parent is None:
            return [name], {trace_id}
        names, traces = path(parent)
        return [*names, name], traces | {trace_id}

    looks = [path(span_id) for span_id, (name, *_) in parents.items() if name == "look_up"]
    assert len(looks) == 2 and looks[0][1] != looks[1][1]
    for names, traces in looks:
        assert [name for name in names if name != "crossing"] == ["request", "handle", "query", "look_up"]
        assert len(traces) == 1
