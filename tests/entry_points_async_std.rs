//! The entry points on async-std.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

/// What the behaviours know of their runtime.
mod rt {
    pub(crate) use pyo3_asyncio::async_std::*;

    pub(crate) fn start() {}
}
