//! Catches panics of user code, with their place in the source.
//!
//! A caught payload has the text of a panic, but not its place. Only a panic hook is told the place. So our hook wraps the hook
//! that the program has:
//!
//! 1. The first crossing installs it, once. It calls the hook that it wraps, so no report is lost.
//! 2. It notes the place of a panic inside [`catch`], in a thread-local that `catch` reads.
//! 3. `catch` uses the place only if the payload has the same text. The payload may come from another panic that user code
//!    resumed, and resuming calls no hook.
//! 4. A panic inside `silently` is neither noted nor reported.
//! 5. A hook that the program sets later replaces ours. If it does not call ours, panics have no place.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};

pub(crate) use crate::sync::cell::quietly;

/// A caught panic.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(crate) text: String,
    pub(crate) place: Option<Box<PanicPlace>>,
}

/// Where a panic came from.
#[derive(Debug)]
pub(crate) struct PanicPlace {
    text: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Where `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asks for one.
    pub(crate) backtrace: Option<String>,
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static SEEN: Cell<Option<Box<PanicPlace>>> = const { Cell::new(None) };
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Calls user code and catches its panic.
pub(crate) fn catch<R>(function: impl FnOnce() -> R) -> Result<R, Panic> {
    let outer = WATCHED.replace(true);
    // Nobody looks at what the panic left half done.
    let result = catch_unwind(AssertUnwindSafe(function));
    WATCHED.set(outer);
    result.map_err(|payload| {
        let text = panic_text(&*payload);
        quietly(|| drop(payload));
        let seen = SEEN.try_with(Cell::take).ok().flatten();
        let place = seen.filter(|place| place.text == text);
        Panic { text, place }
    })
}

/// Calls a function whose panic is an answer and not reported. `None` if it panics, and in a program whose panics abort.
#[cfg(feature = "tokio-runtime")]
pub(crate) fn silently<R>(function: impl FnOnce() -> R) -> Option<R> {
    if cfg!(panic = "abort") {
        return None;
    }
    let outer = SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(function));
    SILENT.set(outer);
    result.ok()
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

/// Installs the hook. Called detached: it waits until no hook is running, and a running one may wait for the interpreter.
pub(crate) fn install_hook() {
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        if !SILENT.try_with(Cell::get).unwrap_or(false) {
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
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    let place = PanicPlace {
        text: panic_text(panic.payload()),
        file: location.file().to_owned(),
        line: location.line(),
        column: location.column(),
        backtrace: is_captured.then(|| backtrace.to_string()),
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
    fn a_payload_whose_drop_panics_harms_nobody() {
        struct Unruly;
        impl Drop for Unruly {
            fn drop(&mut self) {
                std::panic::panic_any(String::from("a payload's drop"));
            }
        }
        assert!(catch(|| std::panic::panic_any(Unruly)).is_err());
        quietly(|| std::panic::panic_any(Unruly));
    }
}
