//! Protocols between threads. Nothing here knows Python or a runtime.
//!
//! | module | what threads share |
//! | --- | --- |
//! | [`cell`] | a state, and the tasks that wait for it to change |
//! | [`handoff`] | the outcome of a Python task, and the Rust future that awaits it |
//! | [`stream_slot`] | a Rust stream, while nobody fetches its items |
//! | [`bounded`] | the items of a stream, and the room that is left for more |
//! | [`cancel_slot`] | a cancellation by Python, and the Rust future that it is handed to |
//! | [`queue`] | the jobs of an event loop, and the bell that wakes the loop for them |
//! | [`registry`] | the mailboxes of all event loops, by the addresses of the loops |
//! | [`watchers`] | the objects that are told when an event loop closes |
//! | [`turn_bell`] | a bell, and the thread that drives a runtime until the bell rings |
//! | [`wake_flag`] | whether a future was woken since it was last polled |
//! | [`guard`] | the threads that run user code, and how exit and fork keep them out |
//! | [`activity`] | the guard of this process |
//! | [`generation`] | the number of forks between this process and the one that loaded the library |
//!
//! The package `tests/models` compiles the first eleven with loom's locks and atomics in the place of [`primitive`], and
//! checks every order in which their threads can run.

pub(crate) mod activity;
pub(crate) mod bounded;
pub(crate) mod cancel_slot;
pub(crate) mod cell;
pub(crate) mod generation;
pub(crate) mod guard;
pub(crate) mod handoff;
pub(crate) mod primitive;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod stream_slot;
#[cfg_attr(
    not(feature = "tokio-runtime"),
    expect(dead_code, reason = "only tokio runs inside an event loop")
)]
pub(crate) mod turn_bell;
pub(crate) mod wake_flag;
pub(crate) mod watchers;
