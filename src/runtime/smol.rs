//! smol: its executor is global, and starts by itself.

use std::future::Future;

use crate::sync::generation::Home;

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
        !thread.name().is_some_and(is_of_executor)
    }
}

/// `smol-1`, `smol-2`
fn is_of_executor(name: &str) -> bool {
    let number = name.strip_prefix("smol-");
    number.is_some_and(|number| number.parse::<usize>().is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_the_executor_has_a_number() {
        assert!(is_of_executor("smol-1") && is_of_executor("smol-12"));
        for name in ["smol-", "smol-pool", "smol-1b", "my-smol-1", "smol"] {
            assert!(!is_of_executor(name), "{name}");
        }
    }
}
