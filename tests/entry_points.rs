//! The entry points on tokio's multi-thread runtime.

#[path = "behaviour/entry_points.rs"]
mod behaviour;
#[path = "behaviour/flavor.rs"]
mod rt;

use std::panic::catch_unwind;

use tokio::runtime::Builder;

fn flavor() -> Builder {
    Builder::new_multi_thread()
}

#[test]
fn setting_a_runtime_after_the_first_use_is_an_error() {
    behaviour::start_runtime();
    let running = rt::get_runtime();
    let late = rt::try_init(Builder::new_current_thread()).unwrap_err();
    assert_eq!(rt::try_init_with_runtime(running), Err(late));
    assert_eq!(rt::init_with_runtime(running), Err(()));
    assert!(late.to_string().contains("before the first conversion"));
    let panic = catch_unwind(|| rt::init(Builder::new_current_thread())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&late.to_string()));
}
