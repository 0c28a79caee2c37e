//! The behaviours on tokio's current-thread runtime.

#[path = "behaviour/brief.rs"]
mod behaviour;
#[path = "behaviour/tokio.rs"]
mod rt;

use tokio::runtime::Builder;

fn flavor() -> Builder {
    Builder::new_current_thread()
}
