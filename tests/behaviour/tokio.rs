//! The items of the runtime that the behaviours use, on either flavor of tokio.

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::behaviour::RunLocally;

#[path = "flavor.rs"]
mod flavor;

pub(crate) use flavor::{Tokio as Runtime, *};
pub(crate) use tokio::time::sleep;

pub(crate) const RUN_LOCALLY: Option<RunLocally> = Some(|future| {
    let runtime = Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("there are descriptors"), future);
});
