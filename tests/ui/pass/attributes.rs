//! A `main` with other attributes, documentation and lint levels.

#![deny(unused)]

use pyo3::prelude::*;

/// Documented.
#[pyo3_asyncio::tokio::main]
#[expect(unused_variables, reason = "the lint level counts in the body")]
#[must_use = "an attribute of the async fn"]
pub(crate) async fn main() -> PyResult<()> {
    #![allow(unused_mut, reason = "so does one within it")]
    let mut unused = 1;
    Ok(())
}
