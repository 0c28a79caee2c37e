//! Coroutines of exported `async fn`s. The wrapper that an attribute generates makes a future from the arguments and passes it
//! here.
//!
//! # Protocol of a borrowed receiver
//!
//! 1. One `async` block owns the object and the borrow. It takes the borrow, returns `Pending` once, and then calls the user's
//!    `async fn`.
//! 2. The Python call polls the block once, which takes the borrow. So the call itself raises an error about the borrow, and
//!    not the `await`.
//! 3. The event loop polls the rest on its own thread. When the coroutine ends, the future and its borrow are dropped before
//!    Python code continues. With `detach_on_cancel`, a cancelled future keeps its borrow until it is done.
//! 4. In a function that blocks, step 2 is the same, and `block_on` polls the rest.
//!
//! An object of a `frozen` class is not borrowed, and needs none of this.
//!
//! Comments behind bounds say what to do if the bound is not met, because the compiler shows the line.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::{False, True};
use pyo3::{PyClass, PyClassGuard, PyClassGuardMut};

use super::by_type::Arguments;
use super::returned::Coroutine;
use crate::entry::block_on;
use crate::runtime::Runtime;
use crate::to_python::OnThisThread;
use crate::{AwaitableBuilder, CancelHandle};

pub use pyo3;

pub struct CoroutineOptions {
    /// The name in Python, and the class of a method.
    pub names: fn() -> (&'static str, Option<&'static str>),
    /// The place of the exported function.
    pub made_at: &'static Location<'static>,
    pub eager_start: bool,
    pub detach_on_cancel: bool,
    pub share_context: bool,
    pub arguments: Arguments,
}

impl CoroutineOptions {
    pub(super) fn builder<R: Runtime>(self) -> AwaitableBuilder<R> {
        let mut builder = AwaitableBuilder::new()
            .eager_start(self.eager_start)
            .detach_on_cancel(self.detach_on_cancel)
            .share_context(self.share_context);
        let plan = &mut builder.plan;
        (plan.names, plan.made_at) = (Some(self.names), self.made_at);
        plan.arguments = self.arguments;
        builder
    }
}

/// The place in the source where this is called. In the generated code, the tokens of the call are where the user's function is.
#[track_caller]
pub fn here() -> &'static Location<'static> {
    Location::caller()
}

/// The return annotation in `signature = (…) -> "text"`.
pub trait Annotation {
    const TEXT: &'static str;
}

/// A type without values, which a stub shows as the annotation.
pub struct Annotated<A>(Infallible, PhantomData<A>);

#[cfg(feature = "experimental-inspect")]
impl<'py, A: Annotation> IntoPyObject<'py> for Annotated<A> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::inspect::PyStaticExpr::Constant {
        value: pyo3::inspect::PyStaticConstant::Str(A::TEXT),
    };

    fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Infallible> {
        match self.0 {}
    }
}

pub fn coroutine<R, W, F, T, O>(
    py: Python<'_>,
    options: CoroutineOptions,
    future: F,
) -> PyResult<Coroutine<'_, O>>
where
    R: Runtime,
    W: Way,
    F: Future<Output = PyResult<T>> + Send + 'static, // drop what is not Send before the next await, in a block of its own
    T: for<'py> IntoPyObject<'py> + Send + 'static, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    W::coroutine::<R, F, T>(py, options.builder(), future).map(Coroutine::new)
}

pub fn cancellable_coroutine<R, W, F, T, O>(
    py: Python<'_>,
    options: CoroutineOptions,
    make: impl FnOnce(CancelHandle) -> F,
) -> PyResult<Coroutine<'_, O>>
where
    R: Runtime,
    W: Way,
    F: Future<Output = PyResult<T>> + Send + 'static, // drop what is not Send before the next await, in a block of its own
    T: for<'py> IntoPyObject<'py> + Send + 'static, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let mut builder = options.builder();
    let future = make(builder.cancel_handle());
    W::coroutine::<R, F, T>(py, builder, future).map(Coroutine::new)
}

/// How a future runs, which depends on whether it borrows its receiver.
pub trait Way {
    const BORROWS: bool;

    fn coroutine<R, F, T>(
        py: Python<'_>,
        builder: AwaitableBuilder<R>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'a> IntoPyObject<'a> + Send + 'static,
    {
        if !Self::BORROWS {
            return builder.coroutine(py, future);
        }
        let mut future = Box::pin(future);
        take_borrow(future.as_mut())?;
        builder
            .plan
            .coroutine::<OnThisThread<R>, _, T, Pin<Box<F>>>(py, future)
    }

    /// Blocks until the future is done.
    fn block_on<R, F, T>(py: Python<'_>, future: F) -> PyResult<T>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send,
        T: Send,
    {
        if !Self::BORROWS {
            return block_on::<R, F, T>(py, future);
        }
        let mut future = Box::pin(future);
        take_borrow(future.as_mut())?;
        block_on::<R, _, T>(py, future)
    }
}

/// A future that borrows nothing runs on the runtime.
pub struct Owning;

impl Way for Owning {
    const BORROWS: bool = false;
}

/// A future that borrows its receiver runs on the event loop.
pub struct Borrowing;

impl Way for Borrowing {
    const BORROWS: bool = true;
}

/// Polls a future that borrows its receiver for the first time.
fn take_borrow<T>(future: Pin<&mut impl Future<Output = PyResult<T>>>) -> PyResult<()> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Ok(()),
        Poll::Ready(Err(refused)) => Err(refused),
        Poll::Ready(Ok(_)) => unreachable!("`borrow` waits once it has the borrow"),
    }
}

/// How a method gets `&self`, which depends on whether the class is frozen.
pub trait Mutability: Sized {
    type Way: Way;
    type Held<'a, T: PyClass<Frozen = Self> + 'a>: Deref<Target = T>;

    fn hold<'a, T>(
        object: &'a Py<T>,
        method: &'static str,
    ) -> impl Future<Output = PyResult<Self::Held<'a, T>>>
    where
        T: PyClass<Frozen = Self> + Sync;
}

impl Mutability for True {
    type Way = Owning;
    type Held<'a, T: PyClass<Frozen = True> + 'a> = &'a T;

    async fn hold<'a, T>(object: &'a Py<T>, _method: &'static str) -> PyResult<&'a T>
    where
        T: PyClass<Frozen = True> + Sync,
    {
        Ok(object.get())
    }
}

impl Mutability for False {
    type Way = Borrowing;
    type Held<'a, T: PyClass<Frozen = False> + 'a> = PyClassGuard<'a, T>;

    async fn hold<'a, T>(object: &'a Py<T>, method: &'static str) -> PyResult<PyClassGuard<'a, T>>
    where
        T: PyClass<Frozen = False> + Sync,
    {
        let refused = "reads the object (`&self`) until it is done, and another call that is not done changes it (`&mut self`)";
        borrow(object, method, refused).await
    }
}

/// How the coroutine of a `&self` method runs.
pub type SharedWay<T> = <<T as PyClass>::Frozen as Mutability>::Way;

pub fn shared<'a, T>(
    object: &'a Py<T>,
    method: &'static str,
) -> impl Future<Output = PyResult<<T::Frozen as Mutability>::Held<'a, T>>>
where
    T: PyClass<Frozen: Mutability>,
    T: Sync, // other threads read the object: put a lock around what is not `Sync`, or take `slf: Py<Self>`
{
    <T::Frozen as Mutability>::hold(object, method)
}

/// How a method gets `&mut self`.
#[diagnostic::on_unimplemented(
    message = "`&mut self` in a class that is `frozen`",
    label = "an object of a frozen class cannot be borrowed mutably",
    note = "take `&self` and put a lock around what changes, or remove `frozen` from `#[pyclass]`"
)]
pub trait Mutable: Sized {
    type HeldAlone<'a, T: PyClass<Frozen = Self> + 'a>: DerefMut<Target = T>;

    fn hold_alone<'a, T>(
        object: &'a Py<T>,
        method: &'static str,
    ) -> impl Future<Output = PyResult<Self::HeldAlone<'a, T>>>
    where
        T: PyClass<Frozen = Self> + Send + Sync;
}

impl Mutable for False {
    type HeldAlone<'a, T: PyClass<Frozen = False> + 'a> = PyClassGuardMut<'a, T>;

    async fn hold_alone<'a, T>(
        object: &'a Py<T>,
        method: &'static str,
    ) -> PyResult<PyClassGuardMut<'a, T>>
    where
        T: PyClass<Frozen = False> + Send + Sync,
    {
        let refused = "has the object for itself (`&mut self`) until it is done, and another call that is not done uses it";
        borrow(object, method, refused).await
    }
}

pub fn exclusive<'a, T>(
    object: &'a Py<T>,
    method: &'static str,
) -> impl Future<Output = PyResult<<T::Frozen as Mutable>::HeldAlone<'a, T>>>
where
    T: PyClass<Frozen: Mutable>,
    T: Send + Sync, // other threads use the object: put a lock around what is not `Sync`, or take `slf: Py<Self>`
{
    <T::Frozen as Mutable>::hold_alone(object, method)
}

/// Takes a borrow, and then waits once, so that the rest of the future runs in a later poll.
async fn borrow<'a, T, B>(object: &'a Py<T>, method: &str, refused: &str) -> PyResult<B>
where
    T: PyClass,
    B: for<'py> FromPyObject<'a, 'py>,
{
    // Does not block, because the Python call that polls this is attached.
    #[expect(clippy::disallowed_methods, reason = "already attached")]
    let borrow = Python::attach(|py| object.bind_borrowed(py).extract().ok());
    let borrow = borrow.ok_or_else(|| {
        PyRuntimeError::new_err(format!(
            "{}.{method} {refused}: await that one first",
            T::NAME
        ))
    })?;
    wait_once().await;
    Ok(borrow)
}

/// Is pending once, and wakes nobody.
pub(super) fn wait_once() -> impl Future<Output = ()> {
    let mut has_waited = false;
    poll_fn(move |_| match std::mem::replace(&mut has_waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}
