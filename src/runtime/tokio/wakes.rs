//! Wakes by the loop's thread, between two turns of the runtime that it drives.
//!
//! Between two turns, the thread is outside of the runtime. Tokio writes to a descriptor for each wake from outside. Here such
//! wakes wait in a list for the next turn, and cost no system call.
//!
//! 1. [`WokenInTurns`] polls its future with a waker of ours, which keeps the task's own waker from the last poll.
//! 2. A wake on the loop's thread between two turns puts the task's waker in the list. The next turn wakes the wakers of the list,
//!    inside the runtime. Any other wake goes to the task's waker at once.
//! 3. The list delays no task: the runtime polls its tasks only in a turn, and each turn starts with the list.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use super::one_thread::LoopRuntime;
use crate::sync::primitive::lock;

pin_project! {
    /// A future whose wakes may wait for the next turn.
    pub(super) struct WokenInTurns<F> {
        #[pin]
        future: F,
        shared: Arc<TaskWaker>,
        waker: Waker,
    }
}

struct TaskWaker {
    runtime: Weak<LoopRuntime>,
    task: Mutex<Waker>,
}

impl<F> WokenInTurns<F> {
    pub(super) fn new(runtime: &Arc<LoopRuntime>, future: F) -> Self {
        let shared = Arc::new(TaskWaker {
            runtime: Arc::downgrade(runtime),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            future,
            waker: Arc::clone(&shared).into(),
            shared,
        }
    }
}

impl<F: Future> Future for WokenInTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let replaced = {
            let mut task = lock(&this.shared.task);
            match task.will_wake(cx.waker()) {
                true => None,
                false => Some(std::mem::replace(&mut *task, cx.waker().clone())),
            }
        };
        drop(replaced);
        this.future.poll(&mut Context::from_waker(this.waker))
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = lock(&self.task).clone();
        match super::one_thread::between_turns(&self.runtime) {
            Some(runtime) => runtime.wake_in_turn(task),
            None => task.wake(),
        }
    }
}
