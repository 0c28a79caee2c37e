//! Functions that are no test.

mod parameters {
    #[pyo3_asyncio::tokio::test]
    async fn takes_two(_event_loop: pyo3::Py<pyo3::PyAny>, _other: i32) {}
}

mod parameter {
    #[pyo3_asyncio::tokio::test]
    fn takes_another(_number: i32) {}
}

mod generic {
    #[pyo3_asyncio::tokio::test]
    async fn is_generic<T>()
    where
        T: Send,
    {
    }
}

mod qualified {
    #[pyo3_asyncio::tokio::test]
    unsafe extern "C" fn is_unsafe() {}
}

mod twice {
    #[pyo3_asyncio::tokio::test]
    #[test]
    fn is_a_test_already() {}
}

#[pyo3_asyncio::tokio::test]
struct NotAFunction;

fn main() {}
