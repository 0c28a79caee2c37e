//! async-std: its executor is global, and starts by itself.

use std::future::Future;

use async_std::task;

use crate::sync::generation::Home;

/// The threads of the executor stay behind when the process forks, and there is no way to start others.
static HOME: Home = Home::new();

/// async-std, as the bridge sees it.
#[derive(Debug)]
pub struct AsyncStd;

impl super::Runtime for AsyncStd {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !HOME.is_here() {
            return;
        }
        // Dropping a handle of async-std's detaches the task.
        drop(task::spawn(future));
    }

    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        // Outside of a task there may be nobody who drives this thread's local executor.
        if task::try_current().is_none() {
            return Err(future);
        }
        drop(task::spawn_local(future));
        Ok(())
    }

    fn may_block() -> bool {
        task::try_current().is_none()
    }
}

/// There is nothing to choose: the executor is the process's.
#[cfg(feature = "attributes")]
impl super::Standalone for AsyncStd {
    type Options = ();

    fn init((): ()) {}

    #[cfg(feature = "testing")]
    fn block_on<F: Future>(_options: Option<()>, future: F) -> F::Output {
        task::block_on(future)
    }
}
