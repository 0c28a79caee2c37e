//! The behaviours on async-std.

#[path = "behaviour/brief.rs"]
mod behaviour;

/// What the behaviours know of their runtime.
mod rt {

    use async_std::task::block_on;

    use crate::behaviour::RunLocally;

    pub(crate) use async_std::task::sleep;
    pub(crate) use pyo3_asyncio::async_std::{AsyncStd as Runtime, *};

    pub(crate) fn start() {}

    pub(crate) const RUN_LOCALLY: Option<RunLocally> = Some(block_on);
}
