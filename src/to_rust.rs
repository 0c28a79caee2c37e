//! Python awaitables that Rust awaits, and Rust functions that are called on the thread of an event loop.

mod call;
mod convert;
mod task;

pub use call::PyCall;
pub use convert::ConvertedPyTask;
pub(crate) use task::{GivenUpTasks, run_coroutine};
pub use task::{PyTask, into_future_with_locals, into_future_with_loop};
