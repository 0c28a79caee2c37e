//! Python awaits a Rust future that is not `Send`.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures_lite::future::yield_now;
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_asyncio::TaskLocals;
use pyo3_asyncio::err::{LoopClosed, RuntimeStopped, RustPanic};
use tokio::sync::oneshot;

use super::counters::Tracked;
use crate::rt::{
    RUN_LOCALLY, get_current_locals, get_current_loop, into_future, local_future_into_py,
    local_future_into_py_with_locals, local_future_into_py_with_loop, scope_local, sleep,
};

/// Holds an `Rc` across every kind of await, and returns how often it ran on the thread that made it.
async fn stays() -> PyResult<usize> {
    let (home, seen) = (thread::current().id(), Rc::new(Cell::new(0)));
    let look = || {
        assert_eq!(thread::current().id(), home);
        seen.set(seen.get() + 1);
    };
    look();
    yield_now().await;
    look();
    sleep(Duration::from_millis(1)).await;
    look();
    let python = Python::attach(|py| {
        into_future(py.import("asyncio")?.call_method1("sleep", (0, "python"))?)
    })?;
    python.await?;
    look();
    Ok(seen.get())
}

/// The context of the locals of the task that this thread polls. Outside of a poll, each call returns a new context.
fn context() -> Py<PyAny> {
    Python::attach(|py| {
        let locals = get_current_locals(py).expect("a loop runs here or is known");
        locals.context(py).unbind()
    })
}

/// Asserts that no task's locals are set on the thread that runs the loop.
fn no_locals_are_left(cx: &super::harness::Cx<'_>) -> PyResult<()> {
    assert!(get_current_loop(cx.py).is_err());
    cx.call_on_loop(|py| {
        assert!(!context().is(context()));
        Ok(py.None())
    })?;
    Ok(())
}

/// The thread of a drop, and whether the locals of the dropped task were set. Outside of the runtime's context the drop panics,
/// because it makes a timer, and records nothing.
#[derive(Clone, Default)]
struct Note(Arc<Mutex<Option<(ThreadId, bool)>>>);

impl Note {
    fn read(&self) -> Option<(ThreadId, bool)> {
        *self.0.lock().expect("noting does not panic")
    }
}

struct NotesInDrop {
    note: Note,
    context: Py<PyAny>,
}

impl Drop for NotesInDrop {
    fn drop(&mut self) {
        drop(sleep(Duration::ZERO));
        let in_place = Python::attach(|py| {
            get_current_locals(py).is_ok_and(|locals| locals.context(py).is(&self.context))
        });
        let Note(note) = &self.note;
        *note.lock().expect("noting does not panic") = Some((thread::current().id(), in_place));
    }
}

/// Starts a future that awaits `gate`, and records its drop.
fn noting<'py>(
    cx: &super::harness::Cx<'py>,
    gate: impl Future<Output = ()> + Send + 'static,
) -> PyResult<(Bound<'py, PyAny>, Note)> {
    let note = Note::default();
    let notes = note.clone();
    let future = cx.spawn_local(|| async {
        let _notes = Rc::new(NotesInDrop {
            note: notes,
            context: context(),
        });
        gate.await;
        Ok(())
    })?;
    cx.catch_up()?;
    assert_eq!(note.read(), None);
    Ok((future, note))
}

fn is_refused(py: Python<'_>, refused: PyResult<Bound<'_, PyAny>>) {
    let error = refused.unwrap_err();
    assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
    let advice = "on the thread that runs the event loop";
    assert!(error.to_string().contains(advice), "{error}");
}

/// Runs a future in a local executor of the runtime, on a new thread, while the loop runs. Returns `None` on a runtime without
/// a local executor, after asserting that it refuses a future that is not `Send`.
fn in_local_executor<F, T>(
    cx: &super::harness::Cx<'_>,
    make: impl FnOnce() -> F + Send + 'static,
) -> PyResult<Option<T>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: Send + 'static,
{
    let Some(run_locally) = RUN_LOCALLY else {
        let refused = local_future_into_py_with_loop(cx.event_loop.clone(), cx.tracked(stays()));
        is_refused(cx.py, refused);
        return Ok(None);
    };
    let locals = TaskLocals::new(cx.event_loop.clone()).copy_context(cx.py)?;
    let (done, is_done) = oneshot::channel();
    let thread = thread::spawn(move || {
        run_locally(Box::pin(scope_local(locals, async move {
            let sent = done.send(make().await);
            assert!(sent.is_ok(), "the test waits for it");
        })));
    });
    let value = cx.wait_for(is_done)?;
    cx.py
        .detach(|| thread.join().expect("the thread does not panic"));
    value.map(Some)
}

/// Awaits a Python awaitable.
async fn awaited(
    awaitable: impl FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    Python::attach(|py| into_future(awaitable(py)?))?.await
}

matrix! {
    fn a_local_future_stays_on_the_loops_thread_across_awaits_of_rust_and_python(cx: &Cx<'_>) {
        let future = cx.spawn_local(stays)?;
        assert_eq!(cx.run(&future)?.extract::<usize>()?, 4);
    }

    fn a_local_future_holds_a_python_object_across_awaits(cx: &Cx<'_>) {
        let object = cx.module(c"class Thing: pass")?.call_method0("Thing")?;
        let held = object.clone().unbind();
        let future = cx.spawn_local(move || async move {
            let bound = Rc::new(held);
            sleep(Duration::from_millis(1)).await;
            Ok(Python::attach(|py| bound.clone_ref(py)))
        })?;
        assert!(cx.run(&future)?.is(&object));
    }

    fn many_local_futures_return_their_own_values(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def all_of(futures):
    return await asyncio.gather(*futures)
")?;
        let futures = (0..300).map(|value| cx.spawn_local(move || {
            let value = Rc::new(value);
            async move {
                for _ in 0..*value % 7 {
                    yield_now().await;
                }
                Ok(*value)
            }
        }));
        let futures: Vec<_> = futures.collect::<PyResult<_>>()?;
        let values = cx.run(&python.call_method1("all_of", (futures,))?)?;
        assert!(values.extract::<Vec<usize>>()?.into_iter().eq(0..300));
    }

    fn another_thread_can_wake_a_local_future(cx: &Cx<'_>) {
        let home = thread::current().id();
        let (kept, waker) = oneshot::channel::<Waker>();
        let future = cx.spawn_local(move || {
            let mut kept = Some(kept);
            poll_fn(move |task| {
                assert_eq!(thread::current().id(), home);
                match kept.take() {
                    Some(kept) => {
                        kept.send(task.waker().clone()).expect("the thread waits for it");
                        Poll::Pending
                    }
                    None => Poll::Ready(Ok("woken")),
                }
            })
        })?;
        let thread = thread::spawn(|| waker.blocking_recv().expect("it is sent").wake());
        assert_eq!(cx.run(&future)?.extract::<String>()?, "woken");
        cx.py.detach(|| thread.join().expect("the thread does not panic"));
    }

    fn an_error_is_raised_as_the_same_object(cx: &Cx<'_>) {
        let error = PyKeyError::new_err("the very one");
        let object = error.value(cx.py).clone();
        let future = cx.spawn_local(|| async {
            yield_now().await;
            Err::<(), _>(error)
        })?;
        let error = cx.run(&future).unwrap_err();
        assert!(error.value(cx.py).is(&object));
    }

    fn a_panic_raises_rust_panic_with_its_text_and_leaves_no_locals(cx: &Cx<'_>) {
        let future = cx.spawn_local(|| async {
            yield_now().await;
            if true {
                panic!("on purpose: on the loop's thread");
            }
            Ok(())
        })?;
        let error = cx.run(&future).unwrap_err();
        assert!(error.is_instance_of::<RustPanic>(cx.py), "{error}");
        assert!(error.to_string().contains("on purpose: on the loop's thread"), "{error}");
        no_locals_are_left(cx)?;
    }

    fn cancelling_drops_a_local_future_on_its_thread_with_its_locals(cx: &Cx<'_>) {
        let (future, note) = noting(cx, pending())?;
        assert!(future.call_method0("cancel")?.is_truthy()?);
        cx.run(&future).unwrap_err();
        while note.read().is_none() {
            cx.catch_up()?;
        }
        assert_eq!(note.read(), Some((thread::current().id(), true)));
        no_locals_are_left(cx)?;
    }

    fn a_cancelled_local_future_is_never_polled_again(cx: &Cx<'_>) {
        let (kept, waker) = oneshot::channel::<Waker>();
        let counters = Arc::default();
        let future = {
            let counters = Arc::clone(&counters);
            cx.call_on_loop(move |py| {
                let mut kept = Some(kept);
                let future = poll_fn(move |task| {
                    if let Some(kept) = kept.take() {
                        kept.send(task.waker().clone()).expect("the test waits for it");
                    }
                    Poll::<PyResult<()>>::Pending
                });
                let future = Tracked::new(&counters, future);
                local_future_into_py(py, future).map(Bound::unbind)
            })?
        };
        let waker = cx.wait_for(waker)?;
        future.call_method0("cancel")?;
        waker.wake();
        while counters.counts().dropped < 1 {
            cx.catch_up()?;
        }
        assert_eq!(counters.counts().polled, 1);
    }

    fn closing_the_loop_drops_a_local_future_on_its_thread_with_its_locals(cx: &Cx<'_>) {
        let (_future, note) = noting(cx, pending())?;
        cx.event_loop.call_method0("close")?;
        assert_eq!(note.read(), Some((thread::current().id(), true)));
        assert!(get_current_loop(cx.py).is_err());
    }

    fn running_the_loop_on_another_thread_raises_and_does_not_drop_the_future(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let (future, note) = noting(cx, async { gate.await.expect("the gate is opened") })?;
        open.send(()).expect("the future waits for it");
        let (event_loop, future) = (cx.event_loop.clone().unbind(), future.unbind());
        let moved = thread::spawn(move || Python::attach(|py| {
            event_loop.call_method1(py, "run_until_complete", (future,))
        }));
        let error = cx.py.detach(|| moved.join().expect("the thread does not panic")).unwrap_err();
        assert!(error.is_instance_of::<PyRuntimeError>(cx.py), "{error}");
        assert!(error.to_string().contains("another thread"), "{error}");
        assert_eq!(note.read(), None);
        cx.event_loop.call_method0("close")?;
        assert_eq!(note.read(), Some((thread::current().id(), true)));
    }

    fn a_local_future_continues_after_python_drops_it(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let (finished, is_finished) = oneshot::channel();
        drop(cx.spawn_local(|| async {
            gate.await.expect("the gate is opened");
            finished.send(()).expect("the test waits for it");
            Ok(())
        })?);
        cx.collect_garbage()?;
        open.send(()).expect("the future goes on");
        cx.wait_for(is_finished)?;
    }

    fn locals_are_set_during_every_poll_and_unset_between_polls(cx: &Cx<'_>) {
        let expected = cx.event_loop.clone().unbind();
        let (polled, is_polled) = oneshot::channel();
        let (open, gate) = oneshot::channel();
        let future = cx.spawn_local(|| async move {
            let first = context();
            polled.send(()).expect("the test waits for it");
            gate.await.expect("the gate is opened");
            for _ in 0..20 {
                assert!(context().is(&first));
                Python::attach(|py| get_current_loop(py).map(|found| assert!(found.is(&expected))))?;
                yield_now().await;
            }
            Ok(())
        })?;
        cx.wait_for(is_polled)?;
        no_locals_are_left(cx)?;
        open.send(()).expect("the future waits for it");
        cx.run(&future)?;
        no_locals_are_left(cx)?;
    }

    fn the_loop_can_be_given_directly_or_with_locals(cx: &Cx<'_>) {
        let counters = Arc::clone(&cx.counters);
        let event_loop = cx.event_loop.clone().unbind();
        let by_name = cx.call_on_loop(move |py| {
            let future = Tracked::new(&counters, stays());
            let event_loop = event_loop.into_bound(py);
            local_future_into_py_with_loop(event_loop, future).map(Bound::unbind)
        })?;
        let counters = Arc::clone(&cx.counters);
        let with_locals = cx.call_on_loop(move |py| {
            let future = Tracked::new(&counters, stays());
            let locals = TaskLocals::with_running_loop(py)?;
            local_future_into_py_with_locals(py, locals, future).map(Bound::unbind)
        })?;
        for future in [by_name, with_locals] {
            assert_eq!(cx.run(&future)?.extract::<usize>()?, 4);
        }
    }

    fn scope_local_sets_its_locals_during_each_poll_of_a_future_that_is_not_send(cx: &Cx<'_>) {
        let locals = TaskLocals::new(cx.event_loop.clone()).copy_context(cx.py)?;
        let inner = locals.context(cx.py).unbind();
        let future = cx.spawn_local(move || async move {
            let (outer, seen) = (context(), Rc::new(Cell::new(0)));
            let counts = Rc::clone(&seen);
            let polls = scope_local(locals, async move {
                for _ in 0..3 {
                    assert!(context().is(&inner));
                    counts.set(counts.get() + 1);
                    sleep(Duration::from_millis(1)).await;
                }
                stays().await
            });
            let polls = polls.await?;
            assert!(context().is(&outer));
            Ok((seen.get(), polls))
        })?;
        assert_eq!(cx.run(&future)?.extract::<(usize, usize)>()?, (3, 4));
        no_locals_are_left(cx)?;
    }

    fn a_local_executor_polls_a_local_future_that_is_made_inside_it(cx: &Cx<'_>) {
        let counters = Arc::clone(&cx.counters);
        let event_loop = cx.event_loop.clone().unbind();
        let polls = in_local_executor(cx, move || async move {
            let tracked = || Tracked::new(&counters, stays());
            let plain = awaited(|py| local_future_into_py(py, tracked())).await?;
            let of_loop = awaited(|py| {
                local_future_into_py_with_loop(event_loop.bind(py).clone(), tracked())
            });
            let of_loop = of_loop.await?;
            let of_locals = awaited(|py| {
                local_future_into_py_with_locals(py, event_loop.bind(py).into(), tracked())
            });
            Ok([plain, of_loop, of_locals.await?])
        })?;
        for polls in polls.into_iter().flatten() {
            assert_eq!(polls.extract::<usize>(cx.py)?, 4);
        }
    }

    fn cancelling_inside_a_local_executor_drops_the_future_on_its_thread(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def cancel(future):
    future.cancel()
    await asyncio.wait([future])
    return future.cancelled()
")?;
        let cancel = python.getattr("cancel")?.unbind();
        let counters = Arc::clone(&cx.counters);
        in_local_executor(cx, || async move {
            let (note, (polled, is_polled)) = (Note::default(), oneshot::channel());
            let notes = note.clone();
            let future = Tracked::new(&counters, async {
                let _notes = Rc::new(NotesInDrop { note: notes, context: context() });
                polled.send(()).expect("the test waits for it");
                pending::<PyResult<()>>().await
            });
            let future = Python::attach(|py| local_future_into_py(py, future).map(Bound::unbind))?;
            is_polled.await.expect("it is polled");
            assert_eq!(note.read(), None);
            let cancelled = awaited(|py| cancel.bind(py).call1((future,))).await?;
            assert!(Python::attach(|py| cancelled.extract::<bool>(py))?);
            while note.read().is_none() {
                yield_now().await;
            }
            assert_eq!(note.read(), Some((thread::current().id(), true)));
            Ok(())
        })?;
    }

    fn a_panic_inside_a_local_executor_raises_rust_panic(cx: &Cx<'_>) {
        let counters = Arc::clone(&cx.counters);
        in_local_executor(cx, || async move {
            let future = Tracked::new(&counters, async {
                yield_now().await;
                if true {
                    panic!("on purpose: in a local executor");
                }
                Ok(())
            });
            let error = awaited(|py| local_future_into_py(py, future)).await.unwrap_err();
            assert!(Python::attach(|py| error.is_instance_of::<RustPanic>(py)), "{error}");
            assert!(error.to_string().contains("on purpose: in a local executor"), "{error}");
            Ok(())
        })?;
    }

    fn a_local_executor_that_ends_first_makes_the_future_raise_runtime_stopped(cx: &Cx<'_>) {
        let counters = Arc::clone(&cx.counters);
        let future = in_local_executor(cx, || async move {
            let future = Tracked::new(&counters, pending::<PyResult<()>>());
            Python::attach(|py| local_future_into_py(py, future).map(Bound::unbind))
        })?;
        if let Some(future) = future {
            let error = cx.run(future.bind(cx.py)).unwrap_err();
            assert!(error.is_instance_of::<RuntimeStopped>(cx.py), "{error}");
        }
    }

    fn a_loop_that_runs_inside_a_local_executor_polls_the_future(cx: &Cx<'_>) {
        let python = cx.module(c"async def main(function):\n    return await function()")?;
        let counters = Arc::clone(&cx.counters);
        let function = PyCFunction::new_closure(cx.py, None, None, move |args, _| {
            local_future_into_py(args.py(), Tracked::new(&counters, stays())).map(Bound::unbind)
        })?;
        let main = python.call_method1("main", (function,))?.unbind();
        let event_loop = cx.event_loop.clone().unbind();
        // The loop blocks the local executor while it runs.
        let is_refused = matches!(cx.kind, LoopKind::Tokio) && RUN_LOCALLY.is_some();
        let run = move || Python::attach(|py| {
            let polls = event_loop.call_method1(py, "run_until_complete", (&main,));
            if is_refused {
                let error = polls.expect_err("a runtime cannot contain another").to_string();
                assert!(error.contains("this thread drives a tokio runtime already"), "{error}");
                main.call_method0(py, "close").expect("it has not started");
                return;
            }
            assert_eq!(polls.and_then(|polls| polls.extract::<usize>(py)).expect("it is polled"), 4);
        });
        let thread = thread::spawn(move || match RUN_LOCALLY {
            Some(run_locally) => run_locally(Box::pin(async move { run() })),
            None => run(),
        });
        cx.py.detach(|| thread.join().expect("the thread does not panic"));
    }

    fn a_local_future_is_refused_without_a_running_loop_and_a_local_executor(cx: &Cx<'_>) {
        // The loop belongs to this thread, but does not run.
        let refused = local_future_into_py_with_loop(cx.event_loop.clone(), cx.tracked(stays()));
        is_refused(cx.py, refused);
        let event_loop = cx.event_loop.clone().unbind();
        let counters = Arc::clone(&cx.counters);
        let thread = thread::spawn(move || Python::attach(|py| {
            let future = Tracked::new(&counters, stays());
            let event_loop = event_loop.into_bound(py);
            is_refused(py, local_future_into_py_with_loop(event_loop.clone(), future));
            let future = Tracked::new(&counters, stays());
            is_refused(py, local_future_into_py_with_locals(py, event_loop.into(), future));
            let future = Tracked::new(&counters, stays());
            is_refused(py, local_future_into_py(py, future));
        }));
        cx.py.detach(|| thread.join().expect("the thread does not panic"));
    }

    fn a_closed_loop_raises_loop_closed_at_the_call(cx: &Cx<'_>) {
        cx.event_loop.call_method0("close")?;
        let refused = local_future_into_py_with_loop(cx.event_loop.clone(), cx.tracked(stays()));
        let error = refused.unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
    }
}
