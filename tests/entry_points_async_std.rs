//! The entry points on async-std.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

/// The items of the runtime that the behaviours use.
mod rt {
    pub(crate) use pyo3_asyncio::async_std::*;

    pub(crate) fn start() {}
}
