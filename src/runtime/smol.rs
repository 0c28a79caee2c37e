//! smol: its executor is global and starts at its first use.

use std::future::Future;

use crate::sync::generation::Home;

/// A forked child has none of the executor's threads, and cannot start new ones.
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
        // Only their names distinguish the threads of smol's executor.
        let thread = std::thread::current();
        !thread.name().is_some_and(is_of_executor)
    }
}

/// `smol-1`, `smol-2`
fn is_of_executor(name: &str) -> bool {
    let number = name.strip_prefix("smol-");
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// The executor is global, so there are no options.
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
