//! Many awaits at once, in both directions.

use std::sync::{Arc, Mutex};

use futures_lite::future::yield_now;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::counters::{Counters, Tracked};
use super::harness::spawn;
use crate::rt::{future_into_py, run_coroutine};

/// Splitmix: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A Rust future that yields `turns` times.
async fn echo<T>(value: T, turns: u64) -> PyResult<T> {
    for _ in 0..turns {
        yield_now().await;
    }
    Ok(value)
}

/// `echo(value, turns)` for Python.
fn exported_echo<'py>(
    py: Python<'py>,
    counters: &Arc<Counters>,
) -> PyResult<Bound<'py, PyCFunction>> {
    let counters = Arc::clone(counters);
    PyCFunction::new_closure(py, None, None, move |args, _| {
        let (value, turns): (usize, u64) = args.extract()?;
        let future = Tracked::new(&counters, echo(value, turns));
        future_into_py(args.py(), future).map(Bound::unbind)
    })
}

/// `through_rust(coroutine_function, value)` for Python: Python awaits Rust, which awaits Python.
fn exported_through_rust<'py>(
    py: Python<'py>,
    counters: &Arc<Counters>,
) -> PyResult<Bound<'py, PyCFunction>> {
    let counters = Arc::clone(counters);
    PyCFunction::new_closure(py, None, None, move |args, _| {
        let (function, value): (Py<PyAny>, usize) = args.extract()?;
        let future = Tracked::new(&counters, async move {
            run_coroutine(move |py| function.bind(py).call1((value,))).await
        });
        future_into_py(args.py(), future).map(Bound::unbind)
    })
}

fn cross_both_ways(cx: &super::harness::Cx<'_>) -> PyResult<()> {
    let python = cx.module(
        c"
import asyncio
import threading

async def main(echo, through_rust):
    thread = threading.get_ident()

    async def python(value):
        assert threading.get_ident() == thread
        await asyncio.sleep(0)
        return await echo(value, value % 3)

    for chunk in range(5):
        values = list(range(100))
        assert await asyncio.gather(*(echo(value, value % 3) for value in values)) == values
        assert await asyncio.gather(*(through_rust(python, value) for value in values)) == values
",
    )?;
    let echo = exported_echo(cx.py, &cx.counters)?;
    let through_rust = exported_through_rust(cx.py, &cx.counters)?;
    cx.run(&python.call_method1("main", (echo, through_rust))?)?;
    Ok(())
}

/// How Rust's await of a Python task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Value,
    Cancelled,
    GivenUp,
    Detached,
}

/// The ends of the tasks that Rust awaited.
struct Outcomes {
    /// The ends of each task, by its number.
    ends: Mutex<Vec<Vec<End>>>,
    wrong: Mutex<Vec<String>>,
}

impl Outcomes {
    fn of(awaits: usize) -> Self {
        Self {
            ends: Mutex::new(vec![Vec::new(); awaits]),
            wrong: Mutex::default(),
        }
    }

    fn note(&self, number: usize, end: End) {
        self.ends.lock().expect("noting does not panic")[number].push(end);
    }
}

/// Awaits a Python task, or drops it after some turns, or detaches it.
async fn await_or_not(
    task: pyo3_asyncio::PyTask,
    number: usize,
    choice: u64,
    turns: u64,
    outcomes: Arc<Outcomes>,
) -> PyResult<()> {
    match choice {
        0 => {
            echo((), turns).await?;
            drop(task);
            outcomes.note(number, End::GivenUp);
        }
        1 => {
            task.detach();
            outcomes.note(number, End::Detached);
        }
        2 => tokio::select! {
            biased;
            outcome = task => settle(outcome, number, &outcomes),
            _ = echo((), turns) => outcomes.note(number, End::GivenUp),
        },
        _ => settle(task.await, number, &outcomes),
    }
    Ok(())
}

/// Records the end of a task. Its value must be its number.
fn settle(outcome: PyResult<Py<PyAny>>, number: usize, outcomes: &Outcomes) {
    Python::attach(|py| {
        let error = match outcome {
            Ok(result) => match result.extract::<usize>(py) {
                Ok(result) if result == number => {
                    outcomes.note(number, End::Value);
                    return;
                }
                _ => format!("{number} became {result}"),
            },
            Err(error)
                if error
                    .get_type(py)
                    .name()
                    .is_ok_and(|name| name == "CancelledError") =>
            {
                outcomes.note(number, End::Cancelled);
                return;
            }
            Err(error) => error.to_string(),
        };
        outcomes
            .wrong
            .lock()
            .expect("noting does not panic")
            .push(error);
    });
}

const TOTAL: usize = 100_000;
const CHUNK: usize = 1_000;

matrix! {
    fn eight_loops_in_eight_threads_await_in_both_directions_at_once(cx: &Cx<'_>) {
        let kind = cx.kind;
        cx.py.detach(|| {
            std::thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(|| test(kind, cross_both_ways));
                }
            });
        });
    }

    fn fifty_thousand_awaits_of_rust_with_random_cancels_have_one_outcome_each(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def main(echo, plan):
    outcomes = [0] * len(plan)
    futures = []
    for value, (turns, cancel_after) in enumerate(plan):
        future = echo(value, turns)

        def done(future, value=value):
            outcomes[value] += 1
            assert future.cancelled() or future.result() == value

        future.add_done_callback(done)
        futures.append(future)

    async def cancel(future, after):
        for _ in range(after):
            await asyncio.sleep(0)
        future.cancel()

    cancellers = [
        asyncio.ensure_future(cancel(future, after))
        for future, (_, after) in zip(futures, plan)
        if after >= 0
    ]
    results = await asyncio.gather(*futures, return_exceptions=True)
    await asyncio.gather(*cancellers)
    for value, result in enumerate(results):
        assert result == value or isinstance(result, asyncio.CancelledError), result
    assert outcomes == [1] * len(plan), outcomes
    return sum(isinstance(result, asyncio.CancelledError) for result in results)
")?;
        let echo = exported_echo(cx.py, &cx.counters)?;
        let mut random = Random(1);
        let mut cancelled = 0;
        for _ in 0..TOTAL / 2 / CHUNK {
            let plan = (0..CHUNK).map(|_| {
                let turns = random.below(40);
                let cancel_after = i64::try_from(random.below(8)).expect("it is small") - 4;
                (turns, cancel_after)
            });
            let plan: Vec<_> = plan.collect();
            let main = python.call_method1("main", (&echo, plan))?;
            cancelled += cx.run(&main)?.extract::<usize>()?;
        }
        assert!(0 < cancelled && cancelled < TOTAL / 2, "both ends occur: {cancelled}");
    }

    fn fifty_thousand_awaits_of_python_with_random_cancels_have_one_outcome_each(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

started = 0
ended = 0

async def echo(value, turns, cancel):
    global started, ended
    started += 1
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancel:
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        return value
    finally:
        ended += 1
")?;
        let outcomes = Arc::new(Outcomes::of(TOTAL / 2));
        let mut random = Random(2);
        for chunk in 0..TOTAL / 2 / CHUNK {
            let mut awaiting = Vec::new();
            for number in chunk * CHUNK..(chunk + 1) * CHUNK {
                let (turns, cancel) = (random.below(4), random.below(4) == 0);
                let task = cx.start(python.call_method1("echo", (number, turns, cancel))?)?;
                let outcomes = Arc::clone(&outcomes);
                let (choice, turns) = (random.below(6), random.below(40));
                let awaits = cx.tracked(await_or_not(task, number, choice, turns, outcomes));
                awaiting.push(spawn(awaits));
            }
            cx.block_on(async {
                for awaits in awaiting {
                    awaits.await?;
                }
                Ok(())
            })?;
        }
        cx.catch_up()?;
        let wrong = outcomes.wrong.lock().expect("noting does not panic");
        assert!(wrong.is_empty(), "{wrong:?}");
        let ends = outcomes.ends.lock().expect("noting does not panic");
        assert!(ends.iter().all(|ends| ends.len() == 1), "each await ends once");
        for end in [End::Value, End::Cancelled, End::GivenUp, End::Detached] {
            assert!(ends.contains(&vec![end]), "{end:?} occurs");
        }
        let count = |name| python.getattr(name)?.extract::<usize>();
        while count("ended")? < count("started")? {
            cx.catch_up()?;
        }
    }
}
