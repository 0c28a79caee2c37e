//! A static that each process has of its own.
//!
//! Whatever a fork copies is in the state of that moment: a lock that another thread held is held for ever in the child. The
//! gate makes that rare, but it does not wait for ever. So a child leaves what it inherits where it is, and has the next.

use std::sync::OnceLock;

use super::generation;

/// The value of this process, and behind it that of its child.
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
}

impl<T: Default> PerProcess<T> {
    /// The value of this process: the default one at first, if the process is a child.
    pub(crate) fn get(&self) -> &T {
        let mut own = self;
        for _ in 0..generation() {
            own = own.next.get_or_init(|| Box::new(Self::new(T::default())));
        }
        &own.value
    }
}

#[cfg(feature = "tokio-runtime")]
impl<T> PerProcess<T> {
    /// The values of the processes before this one, its parent's last. A lock among them may be held for ever.
    pub(crate) fn inherited(&self) -> Vec<&T> {
        let values = std::iter::successors(Some(self), |own| own.next.get().map(|next| &**next));
        let count = generation() as usize;
        values.take(count).map(|own| &own.value).collect()
    }
}
