//! smol: its executor is global, and starts by itself.

use std::future::Future;

use crate::gate::Home;

/// The threads of the executor stay behind when the process forks, and there is no way to start others.
static HOME: Home = Home::new();

/// smol, as the bridge sees it.
#[derive(Debug)]
pub struct Smol;

impl super::Runtime for Smol {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !HOME.is_here() {
            return;
        }
        smol::spawn(future).detach();
    }

    fn may_block() -> bool {
        // The name is all that tells the threads of smol's executor from others.
        let thread = std::thread::current();
        !thread.name().is_some_and(|name| name.starts_with("smol-"))
    }
}

/// There is nothing to choose: the executor is the process's.
#[cfg(feature = "attributes")]
impl super::Standalone for Smol {
    type Options = ();

    fn init((): ()) {}

    #[cfg(feature = "testing")]
    fn block_on<F: Future>(_options: Option<()>, future: F) -> F::Output {
        smol::block_on(future)
    }
}
