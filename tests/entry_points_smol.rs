//! The entry points on smol.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

/// The items of the runtime that the behaviours use.
mod rt {
    pub(crate) use pyo3_asyncio::smol::*;

    pub(crate) fn start() {}
}
