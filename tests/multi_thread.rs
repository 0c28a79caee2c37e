//! The behaviours on tokio's multi-thread runtime.

mod behaviour;

use tokio::runtime::Builder;

fn runtime() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4);
    builder
}
