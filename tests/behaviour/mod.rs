//! The behaviours of the bridge, each written once.
//!
//! The test binary that includes this module binds `rt` to its runtime. `matrix!` runs each behaviour on every kind of loop.

/// Items for one runtime only: that of the program that includes this file. The others include `brief.rs`.
macro_rules! on_one_runtime {
    ($($item:item)*) => { $($item)* };
}

/// Items for the event loop that runs tokio itself, which needs tokio as the runtime.
macro_rules! on_tokio {
    ($($item:item)*) => { $($item)* };
}

#[macro_use]
mod harness;
mod counters;
mod event_loop;
mod interpreter;

mod async_generators;
mod calls;
mod load;
mod local;
mod locals;
mod panics;
mod python_to_rust;
mod rust_to_python;
mod streams;

/// Runs a future that is not `Send` in a local executor of the runtime.
pub(crate) type RunLocally = fn(std::pin::Pin<Box<dyn Future<Output = ()>>>);
