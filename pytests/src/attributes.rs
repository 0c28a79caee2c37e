//! Every shape of an `async fn` that the attributes export, on every runtime.

/// Makes a Python module with the exports on one runtime. The parameter `$nothing` tests a return type from outside.
macro_rules! exported {
    ($runtime:ident, $name:literal, $nothing:ty) => {
        pub(crate) mod $runtime {
            use std::collections::{BTreeMap, BTreeSet, HashMap};
            use std::sync::Arc;
            use std::sync::atomic::{AtomicUsize, Ordering};
            use std::thread;
            use std::time::Duration;

            use pyo3::exceptions::{PyFutureWarning, PyStopAsyncIteration, PyValueError};
            use pyo3::prelude::*;
            use pyo3::types::{PyDict, PyList, PyTuple, PyType};
            use pyo3_asyncio::CancelHandle;

            use ::smol::stream::{self, Stream, StreamExt as _};

            use crate::bridge;
            use crate::gate::{Answer, Gate};
            use crate::ledger::recorded;

            /// Adds three numbers.
            #[pyo3_asyncio::$runtime::pyfunction(signature = (a, /, b=2, *, c=3), blocking = "add_now")]
            pub(crate) async fn add(a: i64, b: i64, c: i64) -> i64 {
                a + b + c
            }

            #[pyo3_asyncio::$runtime::pyfunction(blocking = "nothing_now")]
            pub(crate) async fn nothing() {}

            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn nothing_or_error(error: bool) -> $nothing {
                match error {
                    true => Err(PyValueError::new_err("an error")),
                    false => Ok(()),
                }
            }

            /// Calls another exported function from Rust.
            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn add_twice(a: i64) -> i64 {
                add(add(a, 0, 1).await, 0, 1).await
            }

            /// An error type of a library.
            pub(crate) struct Rejected(String);

            impl From<Rejected> for PyErr {
                fn from(Rejected(text): Rejected) -> Self {
                    PyValueError::new_err(text)
                }
            }

            #[pyo3_asyncio::$runtime::pyfunction(blocking = "reject_now")]
            pub(crate) async fn reject(text: String) -> Result<usize, Rejected> {
                match text.is_empty() {
                    true => Ok(0),
                    false => Err(Rejected(text)),
                }
            }

            /// A type alias that hides `Result`.
            type Reply = PyResult<String>;

            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn reply(r#type: String) -> Reply {
                Ok(r#type)
            }

            #[pyo3_asyncio::$runtime::pyfunction]
            #[pyo3(name = "public_name", text_signature = "(whatever)", blocking = "public_name_now")]
            pub(crate) async fn private_name(_whatever: Py<PyAny>) {}

            #[pyo3_asyncio::$runtime::pyfunction(warn(message = "a function of old"))]
            pub(crate) async fn outdated() {}

            #[pyo3_asyncio::$runtime::pyfunction(pass_module, signature = (*args, **kwargs), blocking = "everything_now")]
            pub(crate) async fn everything(
                module: Py<PyModule>,
                args: Py<PyTuple>,
                kwargs: Option<Py<PyDict>>,
            ) -> (Py<PyModule>, Py<PyTuple>, Option<Py<PyDict>>) {
                (module, args, kwargs)
            }

            /// Counts the arguments that are objects.
            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn count_given(
                number: usize,
                object: Py<PyAny>,
                other: Option<Py<PyAny>>,
                third: Option<Py<PyAny>>,
            ) -> usize {
                let objects = [Some(object), other, third];
                number + objects.into_iter().flatten().count()
            }

            fn length(object: &Bound<'_, PyAny>) -> PyResult<usize> {
                object.len()
            }

            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn length_of(#[pyo3(from_py_with = length)] object: usize) -> usize {
                object
            }

            /// Searches what is for sale.
            #[pyo3_asyncio::$runtime::pyfunction(signature = (text, limit=10, exact=None))]
            pub(crate) async fn search(
                text: String,
                limit: usize,
                exact: Option<bool>,
            ) -> PyResult<BTreeMap<String, usize>> {
                bridge::sleep(Duration::from_millis(1)).await;
                match limit {
                    0 => Err(PyValueError::new_err("no limit")),
                    _ if exact == Some(true) => Ok([(text, 1)].into()),
                    _ => Ok([(format!("{text}s"), limit), (text, 1)].into()),
                }
            }

            /// Has a parameter of every kind of type hint.
            #[expect(clippy::too_many_arguments, reason = "a case each")]
            #[pyo3_asyncio::$runtime::pyfunction(signature = (flag, number, ratio, letter, bytes, list, table, set, tuple, gate,
                                                              object, given: "object", unknown, *args, **kwargs))]
            pub(crate) async fn hinted(
                flag: bool,
                number: u8,
                ratio: f64,
                letter: char,
                bytes: Vec<u8>,
                list: Vec<Option<String>>,
                table: HashMap<String, Vec<f32>>,
                set: BTreeSet<i64>,
                tuple: (i32, (char,)),
                gate: Py<Gate>,
                object: Py<PyAny>,
                given: Vec<i32>,
                unknown: Duration,
                args: Py<PyTuple>,
                kwargs: Option<Py<PyDict>>,
            ) -> $nothing {
                drop((flag, number, ratio, letter, bytes, list, table, set));
                drop((tuple, gate, object, given, unknown, args, kwargs));
                Ok(())
            }

            /// Python has no such names, and a stub cannot have them.
            #[pyo3_asyncio::$runtime::pyfunction(name = "lambda")]
            pub(crate) async fn keywords(from: u32) -> u32 {
                from
            }

            /// Returns the loop and the value of a context variable, as the Rust future sees them. Uses a timer of the runtime.
            #[pyo3_asyncio::$runtime::pyfunction(blocking = "surroundings_now")]
            pub(crate) async fn surroundings(
                variable: Py<PyAny>,
            ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
                bridge::sleep(Duration::ZERO).await;
                Python::attach(|py| {
                    let locals = bridge::get_current_locals(py)?;
                    let value = locals
                        .context(py)
                        .call_method1("run", (variable.getattr(py, "get")?,))?;
                    Ok((locals.event_loop(py).unbind(), value.unbind()))
                })
            }

            /// Awaits what an `async def` returns, on the loop that is known here.
            #[pyo3_asyncio::$runtime::pyfunction(blocking = "call_back_now")]
            pub(crate) async fn call_back(function: Py<PyAny>) -> PyResult<Py<PyAny>> {
                bridge::run_coroutine(move |py| function.into_bound(py).call0()).await
            }

            /// The items of the async generator that a function returns.
            #[pyo3_asyncio::$runtime::pyfunction(blocking = "relayed_now")]
            pub(crate) fn relayed(function: Py<PyAny>) -> impl Stream<Item = PyResult<Py<PyAny>>> {
                bridge::run_async_generator(move |py| function.into_bound(py).call0())
            }

            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn pass_through(gate: Py<Gate>) -> PyResult<Answer> {
                gate.get().future()?.await
            }

            /// Awaits `gate`. If it is cancelled, appends the cancellation to `log`, awaits `clean` and ends.
            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn pass_or_clean_up(
                #[pyo3(cancel_handle)] mut cancel: CancelHandle,
                gate: Py<Gate>,
                clean: Py<Gate>,
                log: Py<PyList>,
            ) -> PyResult<Answer> {
                ::tokio::select! {
                    outcome = gate.get().future()? => outcome,
                    cancelled = cancel.cancelled() => {
                        Python::attach(|py| log.bind(py).append(cancelled.value(py)))?;
                        clean.get().future()?.await?;
                        Err(cancelled)
                    }
                }
            }

            #[pyo3_asyncio::$runtime::pyfunction(eager_start)]
            pub(crate) async fn eager_pass_through(gate: Py<Gate>) -> PyResult<Answer> {
                gate.get().future()?.await
            }

            #[pyo3_asyncio::$runtime::pyfunction(eager_start)]
            pub(crate) async fn eager_pass_or_clean_up(
                #[pyo3(cancel_handle)] cancel: CancelHandle,
                gate: Py<Gate>,
                clean: Py<Gate>,
                log: Py<PyList>,
            ) -> PyResult<Answer> {
                pass_or_clean_up(cancel, gate, clean, log).await
            }

            /// Panics in its second poll.
            #[pyo3_asyncio::$runtime::pyfunction(eager_start)]
            pub(crate) async fn eager_panic() {
                smol::future::yield_now().await;
                panic!("in the second poll");
            }

            /// Counts down, one number in each poll of the runtime.
            #[pyo3_asyncio::$runtime::pyfunction(signature = (from_=3), blocking = "countdown_now")]
            pub(crate) fn countdown(from_: u32) -> impl Stream<Item = PyResult<u32>> {
                let numbers = stream::iter((0..from_).rev()).then(|number| async move {
                    smol::future::yield_now().await;
                    Ok(number)
                });
                recorded(Arc::default(), numbers)
            }

            /// The stream is an error before it starts, or after its first item.
            #[pyo3_asyncio::$runtime::pyfunction(blocking = "rejecting_now")]
            pub(crate) async fn rejecting(
                text: String,
                soon: bool,
            ) -> Result<impl Stream<Item = Result<String, Rejected>> + Send, Rejected> {
                smol::future::yield_now().await;
                match soon {
                    true => Err(Rejected(text)),
                    false => Ok(stream::iter([Ok(text.clone()), Err(Rejected(text))])),
                }
            }

            /// A timer of the runtime in the function itself, and items that cannot fail.
            #[pyo3_asyncio::$runtime::pyfunction(eager_start)]
            pub(crate) fn ticks(count: usize) -> impl ::smol::stream::Stream<Item = ()> {
                let first = bridge::sleep(Duration::ZERO);
                stream::once_future(first).chain(stream::repeat(())).take(count)
            }

            /// Yields the object of an argument, and holds it.
            #[pyo3_asyncio::$runtime::pyfunction(signature = (object: "object") -> "object", blocking = "only_now")]
            pub(crate) fn only(object: Py<PyAny>) -> impl Stream<Item = PyResult<Py<PyAny>>> {
                stream::once(Ok(object))
            }

            fn thread_name() -> String {
                format!("{:?}", thread::current().id())
            }

            /// The name of the calling thread.
            #[pyfunction]
            pub(crate) fn this_thread() -> String {
                thread_name()
            }

            #[pyo3_asyncio::$runtime::pyfunction]
            pub(crate) async fn polling_thread() -> String {
                thread_name()
            }

            #[pyo3_asyncio::$runtime::pyfunction(eager_start)]
            pub(crate) async fn eager_polling_thread() -> String {
                thread_name()
            }

            /// A class whose methods run concurrently.
            #[pyclass(frozen, subclass, weakref)]
            pub(crate) struct Shared {
                name: String,
                calls: AtomicUsize,
            }

            #[pyo3_asyncio::$runtime::pymethods]
            impl Shared {
                #[new]
                fn new(name: String) -> Self {
                    let calls = AtomicUsize::new(0);
                    Self { name, calls }
                }

                #[classattr]
                const ANSWER: i32 = 42;

                #[getter]
                fn calls(&self) -> usize {
                    self.calls.load(Ordering::SeqCst)
                }

                fn plain(&self) -> String {
                    self.name.clone()
                }

                /// Waits for the gate.
                async fn pass_through(&self, gate: Py<Gate>) -> PyResult<Answer> {
                    self.calls.fetch_add(1, Ordering::SeqCst);
                    gate.get().future()?.await
                }

                #[pyo3(name = "greet", signature = (greeting="hello".to_owned()), eager_start, blocking = "greet_now")]
                async fn greet_by_name(&self, greeting: String) -> String {
                    format!("{greeting}, {} on {}", self.name, thread_name())
                }

                #[pyo3(
                                    text_signature = "($self, whatever)",
                                    warn(message = "a method of old", category = PyFutureWarning)
                                )]
                async fn outdated(&self, _number: u32) {}

                async fn compare(slf: Py<Self>, other: Py<PyAny>) -> bool {
                    slf.is(&other)
                }

                #[pyo3(blocking = "itself_now")]
                async fn itself(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                /// Makes an object with the given name, or with that of the class.
                #[classmethod]
                #[pyo3(blocking = "connect_now")]
                async fn connect(cls: Py<PyType>, name: Option<String>) -> PyResult<Self> {
                    let class = Python::attach(|py| cls.bind(py).name()?.extract::<String>())?;
                    Ok(Self::new(name.unwrap_or(class)))
                }

                #[staticmethod]
                #[pyo3(signature = (number: "int") -> "float", blocking = "double_now")]
                async fn double(number: i32) -> i32 {
                    number * 2
                }

                /// The letters of the name. The stream borrows the object.
                #[pyo3(blocking = "letters_now")]
                fn letters(&self) -> impl Stream<Item = PyResult<char>> {
                    stream::iter(self.name.chars().map(Ok))
                }

                /// As many letters of the name as the gate says.
                #[pyo3(blocking = "some_letters_now")]
                async fn some_letters(
                    &self,
                    gate: Py<Gate>,
                ) -> PyResult<impl Stream<Item = char> + use<'_>> {
                    let count = gate.get().future()?.await?;
                    let count: usize = Python::attach(|py| count.into_pyobject(py)?.extract())?;
                    Ok(stream::iter(self.name.chars().take(count)))
                }

                #[pyo3(blocking = "__iter__")]
                fn __aiter__(slf: Py<Self>) -> impl Stream<Item = String> {
                    let mut calls = 0;
                    stream::poll_fn(move |_| {
                        calls += 1;
                        std::task::Poll::Ready((calls < 3).then(|| slf.get().name.clone()))
                    })
                }

                #[staticmethod]
                fn of(numbers: Vec<i32>) -> impl Stream<Item = i32> {
                    stream::iter(numbers)
                }

                async fn __call__(&self, number: i32) -> i32 {
                    Self::double(number).await
                }

                #[pyo3(blocking = "__enter__")]
                async fn __aenter__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                /// Counts as a call, and suppresses a `ValueError`.
                #[pyo3(blocking = "__exit__")]
                async fn __aexit__(
                    &self,
                    r#type: Option<Py<PyType>>,
                    _error: Py<PyAny>,
                    _traceback: Py<PyAny>,
                ) -> bool {
                    self.calls.fetch_add(1, Ordering::SeqCst);
                    let is_value_error = |class: Py<PyType>| {
                        Python::attach(|py| class.bind(py).is_subclass_of::<PyValueError>())
                    };
                    r#type.is_some_and(|class| is_value_error(class).unwrap_or(false))
                }
            }

            /// Counts up to a number, and ends by returning `None`.
            #[pyclass]
            pub(crate) struct UpTo {
                next: u32,
                end: u32,
            }

            #[pyo3_asyncio::$runtime::pymethods]
            #[allow(
                clippy::needless_arbitrary_self_type,
                clippy::needless_lifetimes,
                reason = "`&mut self` may be written in full"
            )]
            impl UpTo {
                #[new]
                fn new(end: u32) -> Self {
                    Self { next: 0, end }
                }

                fn __aiter__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                fn __iter__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                #[pyo3(blocking = "__next__")]
                async fn __anext__<'a>(self: &'a mut Self) -> PyResult<Option<u32>>
                where
                    Self: Sized,
                {
                    smol::future::yield_now().await;
                    let next = self.next;
                    self.next += 1;
                    Ok((next < self.end).then_some(next))
                }
            }

            /// An iterator that ends by raising `StopAsyncIteration`.
            #[pyclass(frozen)]
            pub(crate) struct Empty;

            #[pyo3_asyncio::$runtime::pymethods]
            impl Empty {
                #[new]
                fn new() -> Self {
                    Self
                }

                fn __aiter__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                async fn __anext__(&self) -> PyResult<u32> {
                    Err(PyStopAsyncIteration::new_err(()))
                }
            }

            /// A class whose methods borrow it.
            #[pyclass]
            pub(crate) struct Counter {
                #[pyo3(get, set)]
                count: usize,
            }

            #[pyo3_asyncio::$runtime::pymethods]
            impl Counter {
                #[new]
                fn new() -> Self {
                    Self { count: 0 }
                }

                /// Increments the count after the gate opens.
                #[pyo3(blocking = "add_blocking")]
                async fn add(&mut self, gate: Py<Gate>) -> PyResult<usize> {
                    gate.get().future()?.await?;
                    self.count += 1;
                    Ok(self.count)
                }

                #[pyo3(blocking = "read_blocking")]
                async fn read(&self, gate: Py<Gate>) -> PyResult<usize> {
                    gate.get().future()?.await?;
                    Ok(self.count)
                }

                #[pyo3(eager_start)]
                async fn compare_now(&self, other: Py<PyAny>) -> PyResult<bool> {
                    Python::attach(|py| other.bind(py).eq(self.count))
                }

                #[pyo3(eager_start)]
                async fn add_now(&mut self) -> usize {
                    self.count += 1;
                    self.count
                }

                /// Like `add`, with an eager start.
                #[pyo3(eager_start)]
                async fn add_soon(&mut self, gate: Py<Gate>) -> PyResult<usize> {
                    self.add(gate).await
                }

                /// Increments the count after the gate opens, and calls the function in its last poll.
                async fn add_and_call(
                    &mut self,
                    gate: Py<Gate>,
                    function: Py<PyAny>,
                ) -> PyResult<Py<PyAny>> {
                    gate.get().future()?.await?;
                    self.count += 1;
                    Python::attach(|py| function.call0(py))
                }

                /// Counts the cancellations until the gate opens.
                async fn count_cancellations(
                    &mut self,
                    gate: Py<Gate>,
                    #[pyo3(cancel_handle)] mut cancel: CancelHandle,
                ) -> PyResult<usize> {
                    let opened = gate.get().future()?;
                    ::tokio::pin!(opened);
                    loop {
                        ::tokio::select! {
                            // Count a cancellation that came before the gate opened and was not yet seen.
                            biased;
                            _ = cancel.cancelled() => self.count += 1,
                            outcome = &mut opened => return outcome.map(|_| self.count),
                        }
                    }
                }
            }

            /// An inline module that declares its own functions.
            #[pymodule(submodule)]
            pub(crate) mod inline {
                use pyo3::{IntoPyObjectExt as _, Py, PyAny, PyResult, Python};
                use pyo3_asyncio::$runtime::pyfunction;

                #[pyfunction(signature = () -> "str", blocking = "declared_now")]
                async fn declared() -> PyResult<Py<PyAny>> {
                    Python::attach(|py| "inline".into_py_any(py))
                }
            }

            /// Adds functions to a module without declaring it.
            #[pyfunction]
            pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
                pyo3_asyncio::add_function!(module, add)?;
                pyo3_asyncio::add_function!(module, keywords)?;
                pyo3_asyncio::add_function!(module, this_thread)?;
                module.add_function(wrap_pyfunction!(reply, module)?)
            }

            #[pymodule(submodule, name = $name)]
            pub(crate) mod exported {
                #[pymodule_export]
                use super::{
                    Counter, Empty, Shared, UpTo, add, add_to, add_twice, call_back, count_given, countdown, eager_panic,
                    eager_pass_or_clean_up, eager_pass_through, eager_polling_thread, everything,
                    hinted, inline, length_of, nothing, nothing_or_error, only, outdated, pass_or_clean_up,
                    pass_through, polling_thread, private_name, reject, rejecting, relayed, reply, search, surroundings,
                    this_thread, ticks,
                };
            }
        }
    };
}

exported!(async_std, "async_std", PyResult<()>);
exported!(smol, "smol", PyResult<()>);
exported!(tokio, "tokio", PyResult<()>);
