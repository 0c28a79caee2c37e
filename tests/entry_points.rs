//! The entry points on tokio's multi-thread runtime.

#[path = "behaviour/entry_points.rs"]
mod behaviour;

use tokio::runtime::Builder;

fn flavor() -> Builder {
    Builder::new_multi_thread()
}
