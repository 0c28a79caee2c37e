use std::borrow::Cow;

#[pyo3_asyncio::tokio::pyfunction]
async fn text(_text: Cow<str>) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn bytes(_bytes: Option<Cow<'_, [u8]>>) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn returned(text: String) -> Cow<str> {
    text.into()
}

#[pyo3_asyncio::tokio::pyfunction]
async fn returned_for_ever() -> Cow<'static, str> {
    "text".into()
}

fn main() {}
