//! Who cancels a task: a Rust future of it that is dropped, and the end of its loop. Often both want to, for one reason.
//!
//! # Protocol
//!
//! 1. A cancel that is meant twice would strike the clean-up that it set off. One that a task swallowed is over: it says
//!    nothing about the next.
//! 2. Moments number what matters to that: each poll of a main future, its drop, and the end of a loop make a new one.
//! 3. Every Rust future that is dropped cancels its task, and leaves the moment of the drop with it. The exception is one from
//!    before the loop's end that is dropped after it: the end has cancelled for it, and is why it is dropped.
//! 4. The end of a loop cancels every task that was not cancelled, by a drop, since the main future's last poll or its drop
//!    began. Those are cleaning up since the main future ended, and because of that.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::awaitable::cancel;
use super::lookup::intern;

static NOW: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(NOW.load(SeqCst))
    }

    /// A new one.
    pub(crate) fn next() -> Self {
        Self(NOW.fetch_add(1, SeqCst) + 1)
    }
}

/// A moment that changes.
#[derive(Debug)]
pub(crate) struct LastMoment(AtomicU64);

impl LastMoment {
    pub(crate) fn now() -> Self {
        Self(AtomicU64::new(Moment::now().0))
    }

    pub(crate) fn set(&self, moment: Moment) {
        self.0.store(moment.0, SeqCst);
    }

    pub(crate) fn get(&self) -> Moment {
        Moment(self.0.load(SeqCst))
    }
}

/// Cancels the task of a Rust future that was made and dropped at these moments.
pub(crate) fn cancel_for_drop(
    task: &Bound<'_, PyAny>,
    made: Moment,
    dropped: Moment,
) -> PyResult<()> {
    let py = task.py();
    let ended = moment(task, intern!(py, "_pyo3_asyncio_ended"))?;
    if ended.is_some_and(|ended| made < ended) {
        return Ok(());
    }
    mark(task, intern!(py, "_pyo3_asyncio_dropped"), dropped);
    cancel(task)
}

/// Cancels the tasks of a loop that ends, after a main future whose last poll or drop began at that moment.
pub(crate) fn cancel_at_end(
    tasks: &[Bound<'_, PyAny>],
    main_ended: Option<Moment>,
) -> PyResult<()> {
    let now = Moment::next();
    for task in tasks {
        let py = task.py();
        let dropped = moment(task, intern!(py, "_pyo3_asyncio_dropped"))?;
        mark(task, intern!(py, "_pyo3_asyncio_ended"), now);
        if main_ended.is_none_or(|ended| dropped.is_none_or(|dropped| dropped < ended)) {
            cancel(task)?;
        }
    }
    Ok(())
}

fn moment(task: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<Option<Moment>> {
    let moment = task.getattr_opt(name)?;
    moment.map(|it| it.extract().map(Moment)).transpose()
}

fn mark(task: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, moment: Moment) {
    // Tasks have a `__dict__`. What has none is a future, which has no clean-up either.
    let _ = task.setattr(name, moment.0);
}
