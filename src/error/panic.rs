//! Panics of the user's code: caught where we call it, with what only the panic hook is told of them.
//!
//! A caught payload has the text of a panic, not its place. So there is a hook of ours, under these rules:
//!
//! 1. It calls the hook that it found. Nobody's report is taken away, changed or doubled, save one that is an
//!    [answer](crate::silence) to a question of ours.
//! 2. It looks only at panics inside of [`catch`] on the same thread, and leaves what it saw in a thread-local for it. Other
//!    panics cost it a look at a flag.
//! 3. It is put there by the first crossing, and again by the first one after somebody replaced it without calling it, which
//!    shows by its drop. So a hook that the program sets later is called as well, and wrapped in its turn. One that keeps
//!    ours without calling it gives errors without a place.
//! 4. Setting a hook waits until no other is running, and a user's may be waiting for the interpreter: it is done detached.
//! 5. What the hook saw counts for a payload of the same text only: one that user code resumes (`resume_unwind`) comes
//!    without a call of the hook.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pyo3::prelude::*;

use crate::silence::is_silent;

/// What is known of a panic.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(super) text: String,
    pub(super) place: Option<Box<Place>>,
}

#[derive(Debug)]
pub(super) struct Place {
    text: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    /// Where the environment asks for one, as it asks Rust itself: `RUST_BACKTRACE`, `RUST_LIB_BACKTRACE`.
    pub(super) backtrace: Option<String>,
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static SEEN: Cell<Option<Box<Place>>> = const { Cell::new(None) };
}

/// Calls the user's code and catches its panic.
pub(crate) fn catch<R>(function: impl FnOnce() -> R) -> Result<R, Panic> {
    let outer = WATCHED.replace(true);
    // Whatever the panic left half done is dropped by whoever caught it, and looked at by nobody.
    let result = catch_unwind(AssertUnwindSafe(function));
    WATCHED.set(outer);
    result.map_err(|payload| {
        let text = panic_text(&*payload);
        drop_payload(payload);
        let seen = SEEN.try_with(Cell::take).ok().flatten();
        let place = seen.filter(|place| place.text == text);
        Panic { text, place }
    })
}

/// Calls the user's code where its panic would hit a bystander. The panic hook has reported it.
pub(crate) fn quietly(function: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(function)) {
        drop_payload(payload);
    }
}

/// A value of the user's whose drop may panic, in the hands of bystanders.
pub(crate) struct Quiet<T>(Option<T>);

impl<T> Quiet<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            quietly(|| drop(value));
        }
    }
}

/// Dropping a payload may panic, and the payload of that panic again: then it stays, unless it is a text, which cannot.
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        if !another.is::<String>() && !another.is::<&'static str>() {
            std::mem::forget(another);
        }
    }
}

pub(crate) fn panic_text(payload: &dyn Any) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text (std::panic::panic_any)".to_owned()
    }
}

static HOOKED: AtomicBool = AtomicBool::new(false);

/// Dropped with our hook.
struct Hooked;

impl Drop for Hooked {
    fn drop(&mut self) {
        HOOKED.store(false, Ordering::Release);
    }
}

/// Makes sure that our hook is there.
pub(crate) fn watch_panics(py: Python<'_>) {
    // A panicking thread may set no hook.
    if HOOKED.load(Ordering::Acquire) || thread::panicking() {
        return;
    }
    if !HOOKED.swap(true, Ordering::AcqRel) {
        py.detach(hook);
    }
}

fn hook() {
    let hooked = Hooked;
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        let Hooked = &hooked;
        if !is_silent() {
            see(panic);
            report(panic);
        }
    }));
}

fn see(panic: &PanicHookInfo<'_>) {
    let (true, Some(location)) = (WATCHED.get(), panic.location()) else {
        return;
    };
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let place = Place {
        text: panic_text(panic.payload()),
        file: location.file().to_owned(),
        line: location.line(),
        column: location.column(),
        backtrace,
    };
    let _ = SEEN.try_with(|seen| seen.set(Some(Box::new(place))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_found_in_each_of_its_forms() {
        let text = |panic: fn()| catch(panic).unwrap_err().text;
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("{}", 1 + 1)), "2");
        assert!(text(|| std::panic::panic_any(7_u8)).contains("not text"));
    }

    #[test]
    fn a_payload_whose_drop_panics_is_nobodys_harm() {
        struct Unruly;
        impl Drop for Unruly {
            fn drop(&mut self) {
                std::panic::panic_any(String::from("a payload's drop"));
            }
        }
        assert!(catch(|| std::panic::panic_any(Unruly)).is_err());
        quietly(|| std::panic::panic_any(Unruly));
        drop(Quiet::new(Unruly));
    }
}
