//! The number of forks between this process and the process that loaded this library.
//!
//! What was made in another generation belongs to a parent process. The parent's threads do not exist here, and a lock that one
//! of them held at the fork is held for ever. So a child leaves what it inherits where it is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The process to which `GENERATION` belongs. 0 before the first call of [`generation_of_process`].
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The generation of this process, as last determined by [`generation_of_process`].
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Determines the generation of this process. It asks the system for the process id, so it also sees a fork that called no
/// hooks of Python. Called by those hooks, and wherever something starts that a child must not inherit.
pub(crate) fn generation_of_process() -> u32 {
    let process = std::process::id();
    let before = PROCESS.swap(process, Ordering::Relaxed);
    if before != 0 && before != process {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        super::activity::start_over();
    }
    generation()
}

/// A static of which each process has its own value. The values form a list: behind the value of a process comes that of its
/// child.
pub(crate) struct PerProcess<T> {
    value: T,
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value,
            next: OnceLock::new(),
        }
    }

    /// The values of the processes before this one, the parent's last. A lock among them may be held for ever.
    pub(crate) fn inherited(&self) -> Vec<&T> {
        let values = std::iter::successors(Some(self), |own| own.next.get().map(|next| &**next));
        let count = generation() as usize;
        values.take(count).map(|own| &own.value).collect()
    }
}

impl<T: Default> PerProcess<T> {
    /// The value of this process. That of a child starts as the default.
    pub(crate) fn get(&self) -> &T {
        let mut own = self;
        for _ in 0..generation() {
            own = own.next.get_or_init(|| Box::new(Self::new(T::default())));
        }
        &own.value
    }
}

/// Remembers the process in which something that cannot start again was started.
#[cfg(any(feature = "async-std-runtime", feature = "smol-runtime"))]
pub(crate) struct Home(AtomicU32);

#[cfg(any(feature = "async-std-runtime", feature = "smol-runtime"))]
impl Home {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether this is the process in which this was first asked.
    pub(crate) fn is_here(&self) -> bool {
        let here = generation() + 1;
        let asked = self
            .0
            .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
        asked.map_or_else(|home| home == here, |_| true)
    }
}
