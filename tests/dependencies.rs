//! The feature of one runtime compiles no other runtime: `cargo tree` lists the crates of each feature. `build.rs` refuses the
//! features of runtimes where there are no threads.

use std::process::Command;

#[path = "../build.rs"]
#[expect(
    dead_code,
    reason = "only cargo calls the main function of a build script"
)]
mod build_script;

/// The features of the runtimes, with their crates.
const RUNTIMES: &[(&str, &str)] = &[
    ("tokio-runtime", "tokio"),
    ("async-std-runtime", "async-std"),
    ("smol-runtime", "smol"),
];

/// The names of the packages that are compiled for a user of this crate with `feature`.
fn compiled_with(feature: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", env!("CARGO_PKG_NAME"), "--offline"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--no-default-features", "--features", feature])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts: it runs this test");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let stdout = String::from_utf8(output.stdout).expect("names of packages are text");
    let names = stdout.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn a_runtime_feature_compiles_no_other_runtime() {
    for (feature, own) in RUNTIMES {
        let compiled = compiled_with(feature);
        for (_, runtime) in RUNTIMES {
            let is_compiled = compiled.iter().any(|name| name == runtime);
            assert_eq!(
                is_compiled,
                runtime == own,
                "{runtime} with {feature}: {compiled:?}"
            );
        }
    }
}

#[test]
fn without_features_no_runtime_and_no_macro_crate_is_compiled() {
    let compiled = compiled_with("");
    assert!(compiled.iter().any(|name| name == "pyo3"), "{compiled:?}");
    let ours = ["pyo3-asyncio-macros", "tokio", "async-std", "smol"];
    for name in ours {
        assert!(
            !compiled.iter().any(|compiled| compiled == name),
            "{name}: {compiled:?}"
        );
    }
}

#[test]
fn webassembly_refuses_each_runtime_once_and_nothing_else() {
    let emscripten = build_script::refusals("unix,wasm", |feature| feature == "tokio-runtime");
    assert_eq!(emscripten.len(), 1, "{emscripten:?}");
    assert!(emscripten[0].contains("`tokio-runtime`"), "{emscripten:?}");
    let refused = build_script::refusals("wasm", |_| true);
    assert_eq!(refused.len(), RUNTIMES.len(), "{refused:?}");
    assert!(build_script::refusals("wasm", |_| false).is_empty());
    assert!(build_script::refusals("unix", |_| true).is_empty());
}
