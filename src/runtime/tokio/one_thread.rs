//! A tokio runtime that the thread of an event loop drives. The loop's selector waits in it.
//!
//! # Protocol
//!
//! 1. The selector calls [`turn`](LoopRuntime::turn) in place of a blocking wait. A turn polls the tasks that are ready, and
//!    ends when the selector's descriptor is readable, when the bell rings, or at its timeout. With a timeout of zero, it ends
//!    after one look at the driver. On the main thread it ends early, so that the interpreter can handle signals.
//! 2. Tokio reports only new events of the descriptor. So the runtime takes the descriptor for readable until the selector has
//!    looked and found nothing, and has said so by [`found_nothing`](LoopRuntime::found_nothing). An event after that look is new.
//! 3. While the loop runs, a thread-local of its thread [holds](enter_here) the runtime. Futures that this thread spawns between
//!    two turns wait in a list for the next turn. Tokio would write to a descriptor for each.
//! 4. In the child of a fork nothing touches the runtime, whose descriptors belong to the parent. It is not dropped either.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::readable::Readable;
use super::timer::Timer;
use crate::sync::generation::{generation, generation_of_process};
use crate::sync::primitive::lock;
use crate::sync::turn_bell::TurnBell;

type Spawn = Box<dyn FnOnce() + Send>;

struct Driven {
    selector: Readable,
    timer: Timer,
    runtime: Runtime,
}

pub(crate) struct LoopRuntime {
    handle: Handle,
    /// `None` only in the drop.
    driven: Option<Driven>,
    bell: Arc<TurnBell>,
    /// The futures that the loop's thread spawned since the last turn.
    spawned: Mutex<Vec<Spawn>>,
    is_turning: AtomicBool,
    generation: u32,
}

impl LoopRuntime {
    /// A runtime for the selector that has this descriptor. The descriptor must stay open until the runtime is dropped.
    pub(crate) fn new(descriptor: i32) -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (selector, timer) = {
            let _entered = runtime.enter();
            (Readable::new(descriptor)?, Timer::new()?)
        };
        Ok(Arc::new(Self {
            handle: runtime.handle().clone(),
            driven: Some(Driven {
                selector,
                timer,
                runtime,
            }),
            bell: Arc::new(TurnBell::new()),
            spawned: Mutex::default(),
            is_turning: AtomicBool::new(false),
            generation: generation_of_process(),
        }))
    }

    /// Ends a turn.
    pub(crate) fn bell(&self) -> &Arc<TurnBell> {
        &self.bell
    }

    /// Whether it came to this process by a fork.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != generation()
    }

    fn driven(&self) -> &Driven {
        self.driven.as_ref().expect("only the drop takes them")
    }

    /// Drives the runtime, for ever without a timeout. It may end early once `patience` is over. Called detached, on the thread
    /// that runs the loop. Returns whether the selector may have events.
    pub(crate) fn turn(&self, timeout: Option<Duration>, patience: Option<Duration>) -> bool {
        let Driven {
            selector,
            timer,
            runtime,
        } = self.driven();
        runtime.block_on(async {
            let _turning = Turning::new(&self.is_turning);
            for spawn in std::mem::take(&mut *lock(&self.spawned)) {
                spawn();
            }
            // A wait for a bell that has rung would end before any task is polled.
            if timeout == Some(Duration::ZERO) || self.bell.is_rung() {
                return tokio::task::yield_now().await;
            }
            let event = poll_fn(|context| match self.bell.poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => selector.poll(context),
            });
            match (timeout, patience) {
                (Some(timeout), patience) if patience.is_none_or(|it| timeout <= it) => {
                    first(event, timer.wait(timeout)).await;
                }
                (_, Some(patience)) => first(event, tokio::time::sleep(patience)).await,
                (_, None) => event.await,
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        selector.poll(&mut context).is_ready()
    }

    /// The selector has looked and found no events.
    pub(crate) fn found_nothing(&self) {
        let selector = &self.driven().selector;
        selector.clear(&mut Context::from_waker(Waker::noop()));
    }

    fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.is_turning.load(Ordering::Relaxed) {
            self.handle.spawn(future);
        } else {
            lock(&self.spawned).push(Box::new(|| drop(tokio::spawn(future))));
        }
    }
}

impl Drop for LoopRuntime {
    /// Drops the tasks in the runtime's context. Like asyncio, it does not wait for the threads of `spawn_blocking`.
    fn drop(&mut self) {
        let driven = self.driven.take();
        // Not locked: in a child, a thread of the parent may have locked it for ever.
        let spawned = self.spawned.get_mut();
        let spawned = std::mem::take(spawned.unwrap_or_else(PoisonError::into_inner));
        if self.generation != generation_of_process() {
            std::mem::forget((driven, spawned));
            return;
        }
        let outer = CLOSING.replace(Some(self.handle.clone()));
        drop(spawned);
        if let Some(driven) = driven {
            driven.runtime.shutdown_background();
        }
        drop(CLOSING.replace(outer));
    }
}

/// Waits until one of the two is ready.
async fn first(one: impl Future<Output = ()>, other: impl Future) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(context).map(drop),
    })
    .await;
}

/// A turn that is under way.
struct Turning<'a>(&'a AtomicBool);

impl<'a> Turning<'a> {
    fn new(is_turning: &'a AtomicBool) -> Self {
        is_turning.store(true, Ordering::Relaxed);
        Self(is_turning)
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

thread_local! {
    /// The runtime of the loop that this thread runs is the last one. `None` hides those before it.
    static HERE: RefCell<Vec<Option<Arc<LoopRuntime>>>> = const { RefCell::new(Vec::new()) };
    /// The runtime that this thread drops, with its tasks.
    static CLOSING: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// Sets the runtime of the loop that this thread runs, until [`leave_here`].
pub(crate) fn enter_here(runtime: Option<Arc<LoopRuntime>>) {
    HERE.with_borrow_mut(|here| here.push(runtime));
}

/// Ends the last [`enter_here`] of this thread.
pub(crate) fn leave_here() {
    drop(HERE.with_borrow_mut(Vec::pop));
}

/// Like [`enter_here`], until the guard drops.
pub(crate) fn run_here(runtime: Option<Arc<LoopRuntime>>) -> RunsHere {
    enter_here(runtime);
    RunsHere(PhantomData)
}

/// Calls [`leave_here`] when it is dropped, on the same thread.
#[must_use = "the thread knows the runtime until this is dropped"]
pub(crate) struct RunsHere(PhantomData<*const ()>);

impl Drop for RunsHere {
    fn drop(&mut self) {
        leave_here();
    }
}

fn here() -> Option<Arc<LoopRuntime>> {
    // An error: the thread is ending.
    let here = HERE.try_with(|here| here.borrow().last().cloned().flatten());
    here.ok()
        .flatten()
        .filter(|runtime| !runtime.is_inherited())
}

/// Spawns on the runtime of the loop that this thread runs. Gives the future back if there is none.
pub(super) fn spawn_here<F>(future: F) -> Result<(), F>
where
    F: Future<Output = ()> + Send + 'static,
{
    match here() {
        Some(runtime) => {
            runtime.spawn(future);
            Ok(())
        }
        None => Err(future),
    }
}

/// The handle of the runtime of the loop that this thread runs.
pub(super) fn handle_here() -> Option<Handle> {
    let closing = CLOSING.try_with(|closing| closing.borrow().clone());
    closing
        .ok()
        .flatten()
        .or_else(|| here().map(|runtime| runtime.handle.clone()))
}
