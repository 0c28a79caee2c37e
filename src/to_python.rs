//! Rust futures that Python awaits, and Rust streams that it iterates over.
//!
//! | part | thread | owns |
//! | --- | --- | --- |
//! | [`crossing`] | the runtime's, or the loop's for a local future | the user's future, polled until it is done or cancelled |
//! | [`state`] | both | what the two sides share: the outcome, and its waiters |
//! | [`future`] | the loop's | the `asyncio.Future` that Python sees |
//! | [`coroutine`] | the loop's | the coroutine that Python sees |
//! | [`async_generator`] | the loop's | the stream of an async generator, between two crossings |
//! | [`local`] | the loop's | a user's future that is not `Send`, polled by the event loop |
//! | [`function`] | the caller's | the exported function that Python sees |
//! | [`plan`] | the caller's | the options of a future, a coroutine or an async generator, and the methods that make one |
//! | [`begin`] | the caller's | the start of a Rust future: where it is polled, and whether eagerly |

mod async_generator;
mod awaiting;
mod begin;
mod callbacks;
mod cancel;
mod coroutine;
mod crossing;
#[cfg(feature = "attributes")]
mod function;
mod future;
mod local;
mod plan;
mod state;
#[cfg(feature = "attributes")]
mod type_hint;

pub(crate) use begin::{OnRuntime, OnThisThread};
pub use cancel::CancelHandle;
pub(crate) use coroutine::names_of;
pub use coroutine::ready;
#[cfg(feature = "attributes")]
pub(crate) use coroutine::traverse_arguments;
#[cfg(feature = "attributes")]
pub(crate) use function::AsyncFunction;
#[cfg(feature = "attributes")]
pub use function::Declaration;
pub(crate) use local::ThreadBound;
pub(crate) use plan::Plan;
#[cfg(feature = "attributes")]
pub use type_hint::{Streamed, TypeHint};
