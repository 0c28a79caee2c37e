//! The floor of one hop: spawn on the runtime, the task writes an eventfd, whoever waits for it wakes.
//!
//! A Rust future that runs on another thread costs its awaiter at least this, where both threads sleep between two hops.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::{read, write};

use crate::RUNTIME;

/// An eventfd that a task on the runtime rings.
struct Bell(Arc<OwnedFd>);

impl Bell {
    fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(fd)))
    }

    fn ring_from_the_runtime(&self) {
        let fd = Arc::clone(&self.0);
        RUNTIME.spawn(async move { write(&fd, &1_u64.to_ne_bytes()) });
    }

    fn silence(&self) -> io::Result<()> {
        read(&self.0, &mut [0_u8; 8])?;
        Ok(())
    }
}

/// Hops one after the other on an event loop, with neither a future nor a coroutine: the instance is its own reader
/// callback, which starts the next hop.
#[pyclass(frozen)]
struct Hops {
    bell: Bell,
    left: AtomicUsize,
    done: Py<PyAny>,
}

#[pymethods]
impl Hops {
    #[new]
    fn new(count: usize, done: Py<PyAny>) -> PyResult<Self> {
        Ok(Self {
            bell: Bell::new()?,
            left: AtomicUsize::new(count),
            done,
        })
    }

    fn fileno(&self) -> RawFd {
        self.bell.0.as_raw_fd()
    }

    fn start(&self) {
        self.bell.ring_from_the_runtime();
    }

    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.bell.silence()?;
        if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.bell.ring_from_the_runtime();
        } else {
            self.done.call0(py)?;
        }
        Ok(())
    }
}

/// The same hops without Python: seconds for `count` of them, waited for with epoll.
#[pyfunction]
fn bare_hops(py: Python<'_>, count: usize) -> PyResult<f64> {
    Ok(py.detach(|| -> io::Result<f64> {
        let bell = Bell::new()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &bell.0, data, epoll::EventFlags::IN)?;
        let mut events = Vec::with_capacity(1);

        let start = Instant::now();
        for _ in 0..count {
            bell.ring_from_the_runtime();
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
            bell.silence()?;
        }
        Ok(start.elapsed().as_secs_f64())
    })?)
}

/// Adds the floor to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Hops>()?;
    module.add_function(wrap_pyfunction!(bare_hops, module)?)
}
