//! A task that has made its first step when it is there.
//!
//! A new task schedules its first step with `loop.call_soon`. For the moment in which the task is made, the loop object has
//! another `call_soon`, which takes the step and lets everything else pass; then the step is run, as the loop would have
//! run it in its next turn. That turn is a third of what it costs to await a short coroutine from Rust.
//!
//! It is done on the loop's own thread, from a callback of the loop, so that no other task is under way; and only where the
//! loop object has no `call_soon` of its own, which somebody else would have put there.
//!
//! Python 3.12 has tasks that start eagerly, but they keep a KeyboardInterrupt of their first step to themselves, so that
//! the loop never hears of it.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::awaitable::import_task;
use super::lookup::intern;
use crate::primitive::lock_std;

/// Makes a task of a coroutine, which runs in a copy of `context`. With it comes the error, if any, that its first step let
/// out. `None` if this loop does not allow it.
pub(super) fn task_after_first_step<'py>(
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyAny>, Option<PyErr>)>> {
    let py = event_loop.py();
    let name = intern!(py, "call_soon");
    let Some(attributes) = attributes(event_loop)? else {
        return Ok(None);
    };
    if attributes.contains(name)? {
        return Ok(None);
    }
    let stand_in = StandIn {
        call_soon: event_loop.getattr(name)?.unbind(),
        coroutine: coroutine.clone().unbind(),
        first: Mutex::default(),
    };
    let stand_in = Bound::new(py, stand_in)?;
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "loop"), event_loop)?;
    attributes.set_item(name, &stand_in)?;
    let made = (import_task(py)?, coroutine);
    let task = context.call_method(intern!(py, "run"), made, Some(&arguments));
    attributes.del_item(name)?;
    let task = task?;
    let interrupted = stand_in.get().take_step().and_then(|step| {
        let run = intern!(py, "run");
        step.context.call_method1(py, run, (step.function,)).err()
    });
    Ok(Some((task, interrupted)))
}

fn attributes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let attributes = object.getattr_opt(intern!(object.py(), "__dict__"))?;
    Ok(attributes.and_then(|it| it.cast_into::<PyDict>().ok()))
}

struct Step {
    function: Py<PyAny>,
    context: Py<PyAny>,
}

/// Where the first step of the task is.
#[derive(Default)]
enum First {
    #[default]
    ToCome,
    Here(Step),
    /// With whoever made the task. Who kept the stand-in may go on calling it.
    Gone,
}

/// `call_soon`, but for the first step of the task of one coroutine.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct StandIn {
    call_soon: Py<PyAny>,
    coroutine: Py<PyAny>,
    first: Mutex<First>,
}

impl StandIn {
    /// Whether this step is the first, which is kept.
    fn keep_step(&self, step: Step) -> bool {
        let mut first = lock_std(&self.first);
        let is_first = matches!(*first, First::ToCome);
        if is_first {
            *first = First::Here(step);
        }
        is_first
    }

    fn take_step(&self) -> Option<Step> {
        match std::mem::replace(&mut *lock_std(&self.first), First::Gone) {
            First::Here(step) => Some(step),
            First::ToCome | First::Gone => None,
        }
    }

    /// Whether a callback is a method of the task of our coroutine, as its step is.
    fn is_step(&self, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = callback.py();
        let Some(task) = callback.getattr_opt(intern!(py, "__self__"))? else {
            return Ok(false);
        };
        let Some(coroutine) = task.getattr_opt(intern!(py, "get_coro"))? else {
            return Ok(false);
        };
        Ok(coroutine.call0()?.is(&self.coroutine))
    }
}

#[pymethods]
impl StandIn {
    #[pyo3(signature = (callback, *args, context=None))]
    fn __call__(
        &self,
        callback: Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = callback.py();
        if let Some(context) = &context {
            if args.is_empty() && self.is_step(&callback)? {
                let step = Step {
                    function: callback.clone().unbind(),
                    context: context.clone().unbind(),
                };
                if self.keep_step(step) {
                    return Ok(py.None());
                }
            }
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), context)?;
        let mut all = vec![callback];
        all.extend(args);
        self.call_soon
            .call(py, PyTuple::new(py, all)?, Some(&keywords))
    }
}
