//! `#[pyfunction]`: exports an `async fn` as a Python function that returns a coroutine, or an async generator if it returns a
//! stream.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::arguments::crate_path;
use crate::errors::Errors;
use crate::export::{Export, ExportOptions, is_for_both, stream_item, without_python};
use crate::function::{Function, parse_item};
use crate::runtime::Runtime;

pub(crate) fn expand(
    runtime: Runtime,
    arguments: TokenStream,
    item: TokenStream,
    errors: &mut Errors,
) -> TokenStream {
    let expected = "`#[pyfunction]` must be applied to an `async fn`";
    let Some(mut function) = errors.handle(parse_item(&item, expected)) else {
        return item;
    };
    let exported = errors.handle(export(runtime, arguments, &function));
    without_python(&mut function.attrs, &mut function.sig);
    quote!(#function #exported)
}

fn export(runtime: Runtime, arguments: TokenStream, function: &Function) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let Function {
        attrs, vis, sig, ..
    } = function;
    let options = ExportOptions::parse(arguments, attrs, &mut errors);
    if sig.asyncness.is_none() && stream_item(&sig.output).is_none() {
        errors.push(
            sig.fn_token,
            "this `#[pyfunction]` needs an `async fn`, or a function that returns `impl Stream<Item = …>`: write `async fn`, or use \
             PyO3's own `#[pyo3::pyfunction]`",
        );
    }
    let krate = crate_path(options.krate.as_ref(), &mut errors);
    errors.into_result()?;
    let private = quote!(#krate::__private);
    let export = Export {
        runtime,
        private: &private,
        attributes: attrs,
        visibility: vis.clone(),
        signature: sig,
        class: None,
        options,
    };
    let (wrapper, annotation) = export.wrapper()?;
    let wrapper_name = export.wrapper_name();
    let name = &sig.ident;
    let both = attrs.iter().filter(|it| is_for_both(it));
    Ok(quote! {
        #[#private::pyo3::pyfunction]
        #wrapper

        // PyO3 finds a function through a module of the same name. `self` imports that module, and not the wrapper.
        #(#both)*
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub, reason = "it is as visible as the function")]
        #vis use #wrapper_name::{self as #name};

        #annotation
    })
}
