//! Refuses the features that a target cannot have, with one error each.
//!
//! A `compile_error!` would be one of many errors: each name that is missing then has its own.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let families = env::var("CARGO_CFG_TARGET_FAMILY").unwrap_or_default();
    for refusal in refusals(&families, |feature| {
        let feature = feature.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
    }) {
        println!("cargo::error={refusal}");
    }
}

/// The error messages for a target. `families` is a list such as `unix,wasm`.
pub(crate) fn refusals(families: &str, is_on: impl Fn(&str) -> bool) -> Vec<String> {
    if families.split(',').all(|family| family != "wasm") {
        return Vec::new();
    }
    let mut runtimes = vec!["async-std-runtime", "smol-runtime", "tokio-runtime"];
    runtimes.retain(|feature| is_on(feature));
    let refusal = |feature| {
        format!(
            "the feature `{feature}` needs threads, which WebAssembly has not: leave it out, and implement \
             `pyo3_asyncio::custom::Runtime` for an executor of your own"
        )
    };
    runtimes.into_iter().map(refusal).collect()
}
