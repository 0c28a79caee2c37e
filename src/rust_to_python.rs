//! Rust futures that Python awaits.
//!
//! | part | thread | owns |
//! | --- | --- | --- |
//! | [`crossing`] | the runtime's | the user's future, polled with its locals until it is done or cancelled |
//! | [`shared`] | both | the one small state between the two: what Python sees, and the way to cancel |
//! | [`future`] | the loop's | the Python object, a thin handle on the shared state |

mod callbacks;
mod crossing;
mod future;
mod link;
mod local;
mod shared;

pub(crate) use crossing::{future_into_py, local_future_into_py};
