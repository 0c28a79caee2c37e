//! The `tracing` spans of a crossing. Without the feature `tracing`, [`Spans`] is an empty type.
//!
//! A crossing is polled inside of two spans: the span that was current at the call, and a span of ours within it. Ours has the
//! level debug. If a filter disables it, the caller's span is the current one.
//!
//! | field | value |
//! | --- | --- |
//! | `direction` | `rust_to_python` or `python_to_rust` |
//! | `name` | the type of the Rust future, or of the function that calls Python, with its path; of `into_future`, the awaitable's name |
//! | `event_loop` | the loop's `id()`, in hexadecimal |
//! | `mailbox_wait_us` | how long the job that settles the future or starts the awaitable was queued, in microseconds |
//!
//! An eager start that is ready at its first poll does not cross, and a call of `call_soon` makes no task. They have no span of
//! ours.
//!
//! A disabled span costs one check of a flag, and reads no clock.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::Spans;
#[cfg(feature = "tracing")]
pub(crate) use on::Spans;

#[cfg(feature = "tracing")]
mod on {
    use std::time::Instant;

    use tracing::field::Empty;
    use tracing::span::Entered;
    use tracing::{Span, Value, debug_span};

    /// The caller's span, and the span of the crossing, which ends when this is dropped.
    #[derive(Clone)]
    pub(crate) struct Spans {
        caller: Span,
        crossing: Span,
    }

    impl Spans {
        /// The span that is current here. The crossing has none yet.
        pub(crate) fn of_caller() -> Self {
            Self {
                caller: Span::current(),
                crossing: Span::none(),
            }
        }

        pub(crate) fn rust_to_python<F>(&mut self, event_loop: usize) {
            self.cross("rust_to_python", event_loop, std::any::type_name::<F>);
        }

        pub(crate) fn python_to_rust(event_loop: usize, name: impl FnOnce() -> String) -> Self {
            let mut spans = Self::of_caller();
            spans.cross("python_to_rust", event_loop, name);
            spans
        }

        /// The macro calls `name` only if the span is enabled.
        fn cross<N: Value>(
            &mut self,
            direction: &str,
            event_loop: usize,
            name: impl FnOnce() -> N,
        ) {
            let _caller = self.caller.enter();
            self.crossing = debug_span!(
                target: "pyo3_asyncio",
                "crossing",
                direction,
                name = name(),
                event_loop = format_args!("{event_loop:#x}"),
                mailbox_wait_us = Empty,
            );
        }

        pub(crate) fn enter(&self) -> InSpans<'_> {
            let _caller = self.caller.enter();
            let _crossing = self.crossing.enter();
            InSpans { _crossing, _caller }
        }

        /// Starts the clock for a job of this crossing.
        pub(crate) fn post(&self) -> Posted {
            let posted = (!self.crossing.is_disabled()).then(Instant::now);
            Posted {
                span: self.crossing.clone(),
                posted,
            }
        }
    }

    /// Leaves the inner span first.
    pub(crate) struct InSpans<'a> {
        _crossing: Entered<'a>,
        _caller: Entered<'a>,
    }

    /// A queued job of a crossing.
    pub(crate) struct Posted {
        span: Span,
        posted: Option<Instant>,
    }

    impl Posted {
        /// Records how long the job was queued.
        pub(crate) fn arrive(&self) {
            if let Some(posted) = self.posted {
                let wait = u64::try_from(posted.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.span.record("mailbox_wait_us", wait);
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    #[derive(Clone)]
    pub(crate) struct Spans;

    impl Spans {
        pub(crate) fn of_caller() -> Self {
            Self
        }

        pub(crate) fn rust_to_python<F>(&mut self, _event_loop: usize) {}

        pub(crate) fn python_to_rust(_event_loop: usize, _name: impl FnOnce() -> String) -> Self {
            Self
        }

        pub(crate) fn enter(&self) -> InNoSpans {
            InNoSpans
        }

        pub(crate) fn post(&self) -> Posted {
            Posted
        }
    }

    pub(crate) struct InNoSpans;

    /// Lets callers `drop` it explicitly, as they drop the guard of a span.
    impl Drop for InNoSpans {
        fn drop(&mut self) {}
    }

    pub(crate) struct Posted;

    impl Posted {
        pub(crate) fn arrive(&self) {}
    }
}
