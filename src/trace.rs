//! A `tracing` span for each crossing. Without the feature `tracing`, a span is an empty type.
//!
//! | field | value |
//! | --- | --- |
//! | `direction` | `rust_to_python` or `python_to_rust` |
//! | `name` | the type of the Rust future, which contains the function's path, or the name of the Python awaitable |
//! | `event_loop` | the loop's `id()`, in hexadecimal |
//! | `mailbox_wait_us` | how long the job that settles the future or starts the awaitable was queued, in microseconds |
//!
//! An eager start that is ready at its first poll does not cross and has no span.
//!
//! A disabled span costs one check of a flag, and reads no clock.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Posted, Span};
#[cfg(feature = "tracing")]
pub(crate) use on::{Posted, Span};

#[cfg(feature = "tracing")]
mod on {
    use std::time::Instant;

    use tracing::field::Empty;
    use tracing::span::Entered;
    use tracing::{Value, debug_span};

    /// The span of a crossing, which ends when this is dropped.
    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) fn rust_to_python<F>(event_loop: usize) -> Self {
            Self::new("rust_to_python", event_loop, std::any::type_name::<F>)
        }

        pub(crate) fn python_to_rust(event_loop: usize, name: impl FnOnce() -> String) -> Self {
            Self::new("python_to_rust", event_loop, name)
        }

        /// The macro calls `name` only if the span is enabled.
        fn new<N: Value>(direction: &str, event_loop: usize, name: impl FnOnce() -> N) -> Self {
            Self(debug_span!(
                target: "pyo3_asyncio",
                "crossing",
                direction,
                name = name(),
                event_loop = format_args!("{event_loop:#x}"),
                mailbox_wait_us = Empty,
            ))
        }

        pub(crate) fn enter(&self) -> Entered<'_> {
            self.0.enter()
        }

        /// Starts the clock for a job of this crossing.
        pub(crate) fn post(&self) -> Posted {
            let posted = (!self.0.is_disabled()).then(Instant::now);
            Posted {
                span: self.0.clone(),
                posted,
            }
        }
    }

    /// A queued job of a crossing.
    pub(crate) struct Posted {
        span: tracing::Span,
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
    pub(crate) struct Span;

    impl Span {
        #[expect(
            clippy::extra_unused_type_parameters,
            reason = "the type names a span with the feature"
        )]
        pub(crate) fn rust_to_python<F>(_event_loop: usize) -> Self {
            Self
        }

        pub(crate) fn python_to_rust(_event_loop: usize, _name: impl FnOnce() -> String) -> Self {
            Self
        }

        pub(crate) fn enter(&self) -> InNoSpan {
            InNoSpan
        }

        pub(crate) fn post(&self) -> Posted {
            Posted
        }
    }

    pub(crate) struct InNoSpan;

    /// Lets callers `drop` it explicitly, as they drop the guard of a span.
    impl Drop for InNoSpan {
        fn drop(&mut self) {}
    }

    pub(crate) struct Posted;

    impl Posted {
        pub(crate) fn arrive(&self) {}
    }
}
