//! The behaviours on smol.

#[path = "behaviour/brief.rs"]
mod behaviour;

/// What the behaviours know of their runtime.
mod rt {
    use std::time::Duration;

    use crate::behaviour::RunLocally;

    pub(crate) use pyo3_asyncio::smol::{Smol as Runtime, *};

    pub(crate) async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }

    pub(crate) fn start() {}

    pub(crate) const RUN_LOCALLY: Option<RunLocally> = None;
}
