//! Attributes of a test that say nothing to a harness.

#[pyo3_asyncio::tokio::test]
#[ignore("reason")]
fn ignored() {}

#[pyo3_asyncio::tokio::test]
#[should_panic(with = "text")]
fn panics() {
    panic!("text");
}

#[pyo3_asyncio::tokio::test]
#[should_panic = 3]
fn panics_with_a_number() {
    panic!("3");
}

fn main() {}
