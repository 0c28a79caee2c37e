//! async-std: its executor is global and starts at its first use.

use std::future::Future;

use async_std::task;

use crate::sync::generation::Home;

/// A forked child has none of the executor's threads, and cannot start new ones.
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
        // Dropping the handle detaches the task.
        drop(task::spawn(future));
    }

    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        // Outside a task, this thread may not be driving its local executor.
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

/// The executor is global, so there are no options.
#[cfg(feature = "attributes")]
impl super::Standalone for AsyncStd {
    type Options = ();

    fn init((): ()) {}

    #[cfg(feature = "testing")]
    fn block_on<F: Future>(_options: Option<()>, future: F) -> F::Output {
        task::block_on(future)
    }
}
