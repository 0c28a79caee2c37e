//! A span of `tracing` for each crossing, or nothing at all without the feature of that name.
//!
//! | field | says |
//! | --- | --- |
//! | `direction` | `rust_to_python` or `python_to_rust` |
//! | `name` | the type of the Rust future, which has the function's path in it; the name of the Python awaitable |
//! | `event_loop` | the loop's `id()`, in hexadecimal |
//! | `mailbox_wait_us` | for how many microseconds the job that hands the result over, or starts the awaitable, was queued |
//!
//! An eager start that is ready in its first poll crosses nothing, and has none.
//!
//! A subscriber that wants none of this costs a look at a flag for each crossing, and no clock is read.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Posted, Span};
#[cfg(feature = "tracing")]
pub(crate) use on::{Posted, Span};

#[cfg(feature = "tracing")]
mod on {
    use std::time::Instant;

    use tracing::field::Empty;
    use tracing::span::Entered;
    use tracing::{Level, debug_span, span_enabled};

    const TARGET: &str = "pyo3_asyncio";

    /// The span of a crossing, which ends when this is dropped.
    pub(crate) struct Span(tracing::Span);

    impl Span {
        pub(crate) fn rust_to_python<F>(event_loop: usize) -> Self {
            Self(debug_span!(
                target: TARGET,
                "crossing",
                direction = "rust_to_python",
                name = std::any::type_name::<F>(),
                event_loop = format_args!("{event_loop:#x}"),
                mailbox_wait_us = Empty,
            ))
        }

        /// `name` is asked for only if somebody wants to know.
        pub(crate) fn python_to_rust(event_loop: usize, name: impl FnOnce() -> String) -> Self {
            if !span_enabled!(target: TARGET, Level::DEBUG) {
                return Self(tracing::Span::none());
            }
            Self(debug_span!(
                target: TARGET,
                "crossing",
                direction = "python_to_rust",
                name = name(),
                event_loop = format_args!("{event_loop:#x}"),
                mailbox_wait_us = Empty,
            ))
        }

        pub(crate) fn enter(&self) -> Entered<'_> {
            self.0.enter()
        }

        /// A job of this crossing is posted.
        pub(crate) fn post(&self) -> Posted {
            let posted = (!self.0.is_disabled()).then(Instant::now);
            Posted {
                span: self.0.clone(),
                posted,
            }
        }
    }

    /// A job that is under way.
    pub(crate) struct Posted {
        span: tracing::Span,
        posted: Option<Instant>,
    }

    impl Posted {
        /// The job runs.
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
            reason = "a span has the name of it"
        )]
        pub(crate) fn rust_to_python<F>(_event_loop: usize) -> Self {
            Self
        }

        pub(crate) fn python_to_rust(_event_loop: usize, _name: impl FnOnce() -> String) -> Self {
            Self
        }

        pub(crate) fn enter(&self) -> Entered {
            Entered
        }

        pub(crate) fn post(&self) -> Posted {
            Posted
        }
    }

    pub(crate) struct Entered;

    /// So that an end of it can be written down, as that of a span.
    impl Drop for Entered {
        fn drop(&mut self) {}
    }

    pub(crate) struct Posted;

    impl Posted {
        pub(crate) fn arrive(&self) {}
    }
}
