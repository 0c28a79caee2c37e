//! What one hop costs without a bridge: a task on the runtime writes an eventfd that the loop watches.
//!
//! A Rust future that another thread polls costs its awaiter at least this.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};
use tokio::runtime::Runtime;

/// Makes hops, one after the other. The instance is the reader callback of its own eventfd, and starts the next hop.
#[pyclass(frozen)]
pub(crate) struct Hops {
    fd: Arc<OwnedFd>,
    runtime: Runtime,
    left: AtomicUsize,
    done: Py<PyAny>,
}

#[pymethods]
impl Hops {
    #[new]
    fn new(done: Py<PyAny>) -> PyResult<Self> {
        let fd =
            eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(io::Error::from)?;
        Ok(Self {
            fd: Arc::new(fd),
            runtime: Runtime::new()?,
            left: AtomicUsize::new(0),
            done,
        })
    }

    fn fileno(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Makes `count` hops, then calls `done`.
    fn start(&self, count: usize) {
        self.left.store(count, Ordering::Relaxed);
        self.hop();
    }

    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        read(&self.fd, &mut [0_u8; 8]).map_err(io::Error::from)?;
        if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.hop();
        } else {
            self.done.call0(py)?;
        }
        Ok(())
    }
}

impl Hops {
    fn hop(&self) {
        let fd = Arc::clone(&self.fd);
        self.runtime
            .spawn(async move { write(&fd, &1_u64.to_ne_bytes()) });
    }
}
