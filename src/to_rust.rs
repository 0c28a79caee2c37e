//! Python awaitables that Rust awaits.

mod task;

pub use task::{PyTask, into_future_with_locals, into_future_with_loop};
