//! The behaviours on tokio's current-thread runtime.

mod behaviour;

use tokio::runtime::Builder;

fn runtime() -> Builder {
    Builder::new_current_thread()
}
