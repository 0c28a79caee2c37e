//! Every Python name that the crate uses, as typed functions. No other module interns a name or imports a module.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "this is the module for the names of Python"
)]

mod awaitable;
mod event_loop;
#[cfg(feature = "attributes")]
mod function;
mod lookup;
#[cfg(feature = "tokio-runtime")]
mod one_thread;
#[cfg(feature = "attributes")]
mod program;
mod signals;
mod stream;

pub(crate) use awaitable::*;
pub use event_loop::get_running_loop;
pub(crate) use event_loop::*;
#[cfg(feature = "attributes")]
pub(crate) use function::*;
#[cfg(feature = "tokio-runtime")]
pub(crate) use one_thread::*;
#[cfg(feature = "attributes")]
pub(crate) use program::*;
pub(crate) use signals::*;
pub(crate) use stream::*;
