//! Instantiates every function of the library with concrete types. The check is that this compiles.

use std::future::Ready;
use std::rc::Rc;

use drop_in::{root, tokio_runtime};
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;

type Future = Ready<PyResult<String>>;

macro_rules! every_function_has_the_type_of_its_counterpart {
    ($($runtime:ident)+) => { $(
        #[test]
        fn $runtime() {
            use drop_in::$runtime;

            $runtime::rust_to_python::<Future, String>();
            $runtime::programs::<Future, String>();
            $runtime::current();
            let _: fn(Bound<'_, PyAny>) -> PyResult<_> = $runtime::python_to_rust;
            let _: fn(Bound<'_, PyAny>) -> PyResult<_> = $runtime::stream_of_results;
            let _: fn(Bound<'_, PyAny>) -> PyResult<_> = $runtime::stream_of_items;
            let _: fn(TaskLocals, Ready<u8>) -> _ = $runtime::scope;
            let _: fn(TaskLocals, Ready<Rc<u8>>) -> _ = $runtime::scope_local;
        }
    )+ };
}

every_function_has_the_type_of_its_counterpart!(async_std tokio);

#[test]
fn tokio_only() {
    tokio_runtime::runtime();
}

#[test]
fn crate_root() {
    root::running_loop();
    root::task_locals();
    let _: fn(&TaskLocals, Bound<'_, PyAny>) -> PyResult<_> = root::python_to_rust;
}

#[test]
fn paths_that_the_attributes_expand_to_exist() {
    use pyo3_async_runtimes::{async_std, tokio};

    drop(tokio::re_exports::pending::<()>());
    let _: fn() -> ::tokio::runtime::Builder =
        tokio::re_exports::runtime::Builder::new_multi_thread;
    let answer = async_std::re_exports::spawn_blocking(|| 42);
    assert_eq!(::async_std::task::block_on(answer), 42);
}
