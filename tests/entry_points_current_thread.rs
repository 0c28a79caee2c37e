//! The entry points on tokio's current-thread runtime.

#[path = "behaviour/entry_points.rs"]
mod behaviour;
#[path = "behaviour/flavor.rs"]
mod rt;

use tokio::runtime::Builder;

fn flavor() -> Builder {
    Builder::new_current_thread()
}
