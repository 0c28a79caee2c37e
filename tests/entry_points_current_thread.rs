//! The entry points on tokio's current-thread runtime.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

/// What the behaviours know of their runtime.
mod rt {
    pub(crate) use pyo3_asyncio::tokio::*;

    pub(crate) fn start() {
        let mut builder = super::flavor();
        builder.enable_all();
        init(builder);
    }
}

use tokio::runtime::Builder;

fn flavor() -> Builder {
    Builder::new_current_thread()
}
