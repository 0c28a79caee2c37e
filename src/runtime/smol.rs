//! smol: its executor is global, and starts by itself.

use std::future::Future;

/// smol, as the bridge sees it.
#[derive(Debug)]
pub struct Smol;

impl super::Runtime for Smol {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        smol::spawn(future).detach();
    }
}
