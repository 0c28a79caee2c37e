//! Every Python name that the crate uses, as typed functions. No other module interns a name or imports a module.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "this is the module for the names of Python"
)]

mod async_generator;
mod awaitable;
mod event_loop;
mod lookup;
#[cfg(feature = "attributes")]
mod program;
mod signals;

pub(crate) use async_generator::*;
pub(crate) use awaitable::*;
pub use event_loop::get_running_loop;
pub(crate) use event_loop::*;
#[cfg(feature = "attributes")]
pub(crate) use program::*;
pub(crate) use signals::*;
