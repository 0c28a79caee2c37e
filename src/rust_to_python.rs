//! Rust futures that Python awaits.
//!
//! | part | thread | owns |
//! | --- | --- | --- |
//! | [`crossing`] | the runtime's | the user's future, polled with its locals until it is done or cancelled |
//! | [`shared`] | both | the one small state between the two: what Python sees, and the way to cancel |
//! | [`future`] | the loop's | the Python object, a thin handle on the shared state |

mod awaiting;
mod callbacks;
mod cancel;
mod coroutine;
mod crossing;
mod future;
mod lent;
mod link;
mod local;
mod shared;
mod start;

pub use cancel::CancelHandle;
pub(crate) use crossing::{future_into_py, local_future_into_py, no_loop_for_local_future};
#[cfg(feature = "attributes")]
pub(crate) use start::into_borrowing_coroutine;
pub(crate) use start::{Making, eager_future_into_py, into_cancellable_coroutine, into_coroutine};
