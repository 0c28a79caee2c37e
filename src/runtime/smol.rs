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
}
