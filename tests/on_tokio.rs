//! The behaviours on tokio's multi-thread runtime.

mod behaviour;
#[path = "behaviour/tokio.rs"]
mod rt;

use tokio::runtime::Builder;

fn flavor() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4);
    builder
}
