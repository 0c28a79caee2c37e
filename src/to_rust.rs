//! Python awaitables that Rust awaits.

mod task;

pub(crate) use task::GivenUpTasks;
pub use task::{PyTask, into_future_with_locals, into_future_with_loop};
