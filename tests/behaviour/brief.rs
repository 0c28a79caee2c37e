//! The behaviours in which a runtime has a hand: it starts, polls and drops futures, on threads of its own.
//!
//! A runtime cannot see Python, so one of them, tokio's, runs all of what the bridge promises on every kind of loop; the others
//! run these on one kind. `cargo xtask test --thorough` sets `cfg(thorough)`, and with it all of them run everything.

#![cfg_attr(
    not(thorough),
    allow(dead_code, reason = "the other behaviours need it")
)]

/// Items for one runtime only.
macro_rules! on_one_runtime {
    ($($item:item)*) => { $(#[cfg(thorough)] $item)* };
}

/// Items for the event loop that runs tokio itself, which needs tokio as the runtime.
macro_rules! on_tokio {
    ($($item:item)*) => {};
}

#[macro_use]
mod harness;
mod counters;
mod event_loop;
mod interpreter;

#[cfg(thorough)]
mod async_generators;
#[cfg(thorough)]
mod calls;
mod load;
mod local;
mod locals;
#[cfg(thorough)]
mod panics;
#[cfg(thorough)]
mod python_to_rust;
#[cfg(thorough)]
mod rust_to_python;
#[cfg(thorough)]
mod streams;

/// Runs a future that is not `Send` inside of a local executor of the runtime's.
pub(crate) type RunLocally = fn(std::pin::Pin<Box<dyn Future<Output = ()>>>);
