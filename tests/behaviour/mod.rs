//! What the bridge promises, each promise written once.
//!
//! The test binary that includes this chooses the runtime, `matrix!` runs each behaviour on every kind of loop.

#[macro_use]
mod harness;
mod counters;
mod event_loop;

mod load;
mod locals;
mod panics;
mod python_to_rust;
mod rust_to_python;
