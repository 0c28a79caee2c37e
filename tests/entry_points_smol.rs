//! The entry points on smol.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

/// What the behaviours know of their runtime.
mod rt {
    pub(crate) use pyo3_asyncio::smol::*;

    pub(crate) fn start() {}
}
