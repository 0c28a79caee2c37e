//! Python iterates over a Rust stream. The tests in Python cover what Python sees of it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use pyo3::prelude::*;

use crate::rt::{into_async_generator, local_into_async_generator, sleep};

/// Counts a drop inside of the runtime's context. Outside of it the drop panics, because it makes a timer.
struct TimerInDrop(Arc<AtomicUsize>);

impl Drop for TimerInDrop {
    fn drop(&mut self) {
        drop(sleep(Duration::ZERO));
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

matrix! {
    fn an_async_generator_yields_the_items_of_a_stream(cx: &Cx<'_>) {
        let numbers = stream::iter(0..300).then(|number| async move {
            if number % 100 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            Ok(number)
        });
        let local = Rc::new(1);
        let local = stream::iter(0..3).map(move |number| Ok(number + *local));
        let python = cx.module(c"async def collect(generator):\n    return [item async for item in generator]")?;
        let collect = |generator| cx.run(&python.call_method1("collect", (generator,))?)?.extract::<Vec<i32>>();
        assert_eq!(collect(into_async_generator(cx.py, numbers)?)?, (0..300).collect::<Vec<_>>());
        assert_eq!(collect(local_into_async_generator(cx.py, local)?)?, [1, 2, 3]);
    }

    fn a_stream_is_dropped_inside_the_context_of_the_runtime(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def end(generator):
    async for item in generator:
        if item == 2:
            break

async def close(generator):
    await generator.__anext__()
    await generator.aclose()

async def keep(generator):
    kept.append(generator)
    await generator.__anext__()

async def cancel(generator):
    task = asyncio.ensure_future(end(generator))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

kept = []
")?;
        let dropped = Arc::new(AtomicUsize::new(0));
        let stream = |items: usize| {
            let in_drop = Some(TimerInDrop(Arc::clone(&dropped)));
            stream::iter(1..=items).chain(stream::pending()).map(move |item| {
                assert!(in_drop.is_some());
                Ok(item)
            })
        };
        let mut expected = 0;
        for (way, items) in [("end", 2), ("close", 2), ("cancel", 0), ("cancel", 1)] {
            for local in [false, true] {
                let generator = match local {
                    false => into_async_generator(cx.py, stream(items))?,
                    true => local_into_async_generator(cx.py, stream(items))?,
                };
                cx.run(&python.call_method1(way, (generator,))?)?;
                expected += 1;
                while dropped.load(Ordering::SeqCst) < expected {
                    cx.catch_up()?;
                }
            }
        }
        for local in [false, true] {
            let generator = match local {
                false => into_async_generator(cx.py, stream(2))?,
                true => local_into_async_generator(cx.py, stream(2))?,
            };
            cx.run(&python.call_method1("keep", (generator,))?)?;
        }
        assert_eq!(dropped.load(Ordering::SeqCst), expected);
        cx.event_loop.call_method0("close")?;
        assert_eq!(dropped.load(Ordering::SeqCst), expected + 2);
    }
}
