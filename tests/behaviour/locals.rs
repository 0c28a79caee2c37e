//! When a Rust task has locals, and which.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::future::yield_now;
use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;
use tokio::sync::oneshot;

use super::counters::Tracked;
use super::harness::spawn;
use crate::rt::{get_current_locals, get_current_loop, scope};

/// Whether `event_loop` is the current loop in this thread.
fn is_current(event_loop: &Bound<'_, PyAny>) -> bool {
    get_current_loop(event_loop.py()).is_ok_and(|current| current.is(event_loop))
}

/// Whether this thread has no current loop.
fn has_no_loop(py: Python<'_>) -> bool {
    get_current_loop(py).is_err()
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Records in its drop whether a loop is the current one.
struct NotesInDrop {
    event_loop: Py<PyAny>,
    found: Arc<Mutex<Option<bool>>>,
}

impl Drop for NotesInDrop {
    fn drop(&mut self) {
        let found = Python::attach(|py| is_current(self.event_loop.bind(py)));
        *self.found.lock().expect("noting does not panic") = Some(found);
    }
}

matrix! {
    fn locals_can_be_made_from_every_form_of_a_loop(cx: &Cx<'_>) {
        let event_loop = &cx.event_loop;
        let forms: [TaskLocals; 4] = [
            TaskLocals::new(event_loop.clone()),
            event_loop.clone().into(),
            event_loop.into(),
            event_loop.clone().unbind().into(),
        ];
        for locals in forms {
            assert!(locals.event_loop(cx.py).is(event_loop));
            assert!(locals.context(cx.py).is_none());
        }
    }

    fn locals_carry_their_given_context(cx: &Cx<'_>) {
        let python = cx.module(c"
from contextvars import ContextVar, copy_context

variable = ContextVar('variable', default='default')
variable.set('here')
context = copy_context()
")?;
        let context = python.getattr("context")?;
        let locals = TaskLocals::new(cx.event_loop.clone()).with_context(context.clone());
        assert!(locals.context(cx.py).is(&context));
        assert!(locals.clone().context(cx.py).is(&context));
        let copied = locals.copy_context(cx.py)?;
        assert!(!copied.context(cx.py).is(&context), "the copy is a new context");
        let variable = python.getattr("variable")?;
        let here = copied.context(cx.py).call_method1("__getitem__", (&variable,))?;
        assert_eq!(here.extract::<String>()?, "here");
        let none = cx.py.None().into_bound(cx.py);
        assert!(copied.with_context(none).context(cx.py).is_none());
    }

    fn with_running_loop_gives_locals_without_a_context(cx: &Cx<'_>) {
        assert!(TaskLocals::with_running_loop(cx.py).is_err());
        let python = cx.module(c"async def calls(function):\n    return function()")?;
        let check = pyo3::types::PyCFunction::new_closure(cx.py, None, None, |args, _| {
            let py = args.py();
            let locals = TaskLocals::with_running_loop(py)?;
            let current = get_current_locals(py)?;
            let event_loop = locals.event_loop(py);
            assert!(current.event_loop(py).is(&event_loop));
            assert!(!current.context(py).is_none());
            Ok::<_, PyErr>((event_loop.unbind(), locals.context(py).is_none()))
        })?;
        let result = cx.run(&python.call_method1("calls", (check,))?)?;
        let (event_loop, without_context): (Bound<'_, PyAny>, bool) = result.extract()?;
        assert!(event_loop.is(&cx.event_loop));
        assert!(without_context);
    }

    fn a_scope_of_another_task_finds_the_loop(cx: &Cx<'_>) {
        let expected = cx.event_loop.clone().unbind();
        let tracked = cx.tracked(async {
            yield_now().await;
            Python::attach(|py| get_current_loop(py).map(Bound::unbind))
        });
        let found = cx.block_on(async {
            // As the guide says, a spawned task does not inherit the loop of its parent.
            let current = Python::attach(|py| get_current_loop(py).map(Bound::unbind))?;
            spawn(scope(current.into(), tracked)).await
        })?;
        assert!(found.is(&expected));
    }

    fn a_spawned_task_without_a_scope_has_no_loop(cx: &Cx<'_>) {
        let has_none = cx.block_on(async {
            Ok(spawn(async { Python::attach(has_no_loop) }).await)
        })?;
        // It is on the thread of a loop that runs tokio itself, and finds that loop.
        assert_eq!(has_none, !matches!(cx.kind, LoopKind::Tokio));
    }

    fn locals_are_set_during_a_poll_and_unset_after_it(cx: &Cx<'_>) {
        let event_loop = cx.event_loop.clone().unbind();
        let (open, gate) = oneshot::channel();
        let mut scoped = pin!(scope((&cx.event_loop).into(), cx.tracked(async move {
            Python::attach(|py| assert!(is_current(event_loop.bind(py))));
            gate.await.expect("the gate is opened");
            Python::attach(|py| assert!(is_current(event_loop.bind(py))));
        })));
        assert!(poll_once(scoped.as_mut()).is_pending());
        assert!(has_no_loop(cx.py), "the scope is pending");
        open.send(()).expect("the future waits for it");
        assert!(poll_once(scoped.as_mut()).is_ready());
        assert!(has_no_loop(cx.py), "the scope is done");
    }

    fn locals_are_unset_after_a_panic(cx: &Cx<'_>) {
        let mut scoped = pin!(scope((&cx.event_loop).into(), cx.tracked(async {
            panic!("on purpose: in a scope");
        })));
        let panic: Result<Poll<()>, _> = catch_unwind(AssertUnwindSafe(|| poll_once(scoped.as_mut())));
        assert!(panic.is_err());
        assert!(has_no_loop(cx.py));
    }

    fn locals_are_set_while_an_unfinished_future_is_dropped(cx: &Cx<'_>) {
        let found = Arc::new(Mutex::new(None));
        let notes = NotesInDrop {
            event_loop: cx.event_loop.clone().unbind(),
            found: Arc::clone(&found),
        };
        let mut scoped = Box::pin(scope((&cx.event_loop).into(), cx.tracked(async {
            let _notes = notes;
            pending::<()>().await;
        })));
        assert!(poll_once(scoped.as_mut()).is_pending());
        drop(scoped);
        assert_eq!(*found.lock().expect("noting does not panic"), Some(true));
        assert!(has_no_loop(cx.py));
    }

    fn locals_are_set_while_a_cancelled_future_is_dropped(cx: &Cx<'_>) {
        let found = Arc::new(Mutex::new(None));
        let notes = NotesInDrop {
            event_loop: cx.event_loop.clone().unbind(),
            found: Arc::clone(&found),
        };
        let (polled, is_polled) = oneshot::channel();
        let future = cx.spawn(async {
            let _notes = notes;
            polled.send(()).expect("the test waits for it");
            pending::<PyResult<()>>().await
        })?;
        cx.wait_for(is_polled)?;
        let made = cx.counters.counts().made;
        future.call_method0("cancel")?;
        cx.counters.wait_for_drops(cx.py, made);
        assert_eq!(*found.lock().expect("noting does not panic"), Some(true));
    }

    fn a_worker_has_no_loop_after_a_panic_or_a_cancel(cx: &Cx<'_>) {
        let (polled, is_polled) = oneshot::channel();
        let panics = cx.spawn(async {
            if true {
                panic!("on purpose: leaves a worker");
            }
            Ok(())
        })?;
        let cancelled = cx.spawn(async {
            polled.send(()).expect("the test waits for it");
            pending::<PyResult<()>>().await
        })?;
        cx.run(&panics).unwrap_err();
        cx.wait_for(is_polled)?;
        let made = cx.counters.counts().made;
        cancelled.call_method0("cancel")?;
        cx.counters.wait_for_drops(cx.py, made);
        // Spawn enough tasks for every worker.
        let tasks = (0..64).map(|_| {
            spawn(async {
                let before = Python::attach(has_no_loop);
                yield_now().await;
                before && Python::attach(has_no_loop)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let without_loop = cx.block_on(async {
            let mut without_loop = true;
            for task in tasks {
                without_loop &= task.await;
            }
            Ok(without_loop)
        })?;
        assert!(without_loop);
    }

    fn an_inner_scope_restores_the_outer_one(cx: &Cx<'_>) {
        let other = cx.kind.new_event_loop(cx.py)?;
        let [outer, inner] = [&cx.event_loop, &other].map(|event_loop| event_loop.clone().unbind());
        let inner_locals = TaskLocals::new(other.clone());
        let mut scoped = pin!(scope((&cx.event_loop).into(), cx.tracked(async move {
            let is_outer = || Python::attach(|py| is_current(outer.bind(py)));
            let is_inner = || Python::attach(|py| is_current(inner.bind(py)));
            assert!(is_outer());
            scope(inner_locals.clone(), async { assert!(is_inner()) }).await;
            assert!(is_outer(), "after completion");
            let panics = scope(inner_locals.clone(), async { panic!("on purpose: in an inner scope") });
            let panic: Result<Poll<()>, _> =
                catch_unwind(AssertUnwindSafe(|| poll_once(pin!(panics))));
            assert!(panic.is_err());
            assert!(is_outer(), "after a panic");
            let mut waits = Box::pin(scope(inner_locals, pending::<()>()));
            assert!(poll_once(waits.as_mut()).is_pending());
            assert!(is_outer(), "while the inner one waits");
            drop(waits);
            assert!(is_outer(), "after a drop");
        })));
        assert!(poll_once(scoped.as_mut()).is_ready());
        assert!(has_no_loop(cx.py));
        other.call_method0("close")?;
    }

    fn interleaved_scopes_keep_their_own_loops(cx: &Cx<'_>) {
        let other = cx.kind.new_event_loop(cx.py)?;
        let turns = |event_loop: &Bound<'_, PyAny>| {
            let expected = event_loop.clone().unbind();
            scope(event_loop.into(), Tracked::new(&cx.counters, async move {
                for _ in 0..10 {
                    Python::attach(|py| assert!(is_current(expected.bind(py))));
                    yield_now().await;
                }
                Python::attach(|_| drop(expected));
            }))
        };
        let (one, two) = (turns(&cx.event_loop), turns(&other));
        cx.block_on(async {
            tokio::join!(one, two);
            Ok(())
        })?;
        other.call_method0("close")?;
    }

    fn a_scope_returns_the_output_of_its_future(cx: &Cx<'_>) {
        let mut scoped = pin!(scope((&cx.event_loop).into(), ready(42)));
        assert!(matches!(poll_once(scoped.as_mut()), Poll::Ready(42)));
    }
}
