//! `#[pyfunction]`: exports an `async fn` as a Python function that returns a coroutine, or an async generator if it returns a
//! stream.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::Result;
use syn::ext::IdentExt as _;

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
        is_blocking: false,
    };
    let (wrapper, annotation) = export.wrapper()?;
    let names = match export.blocking()? {
        None => import(&export, &sig.ident),
        Some(blocking) => blocking_names(&export, &blocking)?,
    };
    Ok(quote! {
        #[#private::pyo3::pyfunction]
        #wrapper

        #names

        #annotation
    })
}

/// PyO3 finds a function through a module of the same name. `self` imports that module, and not the wrapper.
fn import(export: &Export<'_>, name: &Ident) -> TokenStream {
    let (wrapper, visibility) = (export.wrapper_name(), &export.visibility);
    let both = export.attributes.iter().filter(|it| is_for_both(it));
    quote! {
        #(#both)*
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub, reason = "it is as visible as the function")]
        #visibility use #wrapper::{self as #name};
    }
}

/// The second, synchronous function. A type in place of PyO3's module has both functions, so a module that is declared with the
/// first gets the second too.
fn blocking_names(export: &Export<'_>, blocking: &Export<'_>) -> Result<TokenStream> {
    let Export {
        private,
        visibility,
        signature,
        ..
    } = export;
    // The annotation is that of the first function.
    let (wrapper, _) = blocking.wrapper()?;
    let name = blocking.options.name.as_ref();
    let name = name
        .expect("the second function has a name")
        .parse_with(Ident::parse_any)?;
    let import = import(blocking, &name);
    let both = export.attributes.iter().filter(|it| is_for_both(it));
    let both = quote!(#(#both)*);
    let (first, second, name) = (
        export.wrapper_name(),
        blocking.wrapper_name(),
        &signature.ident,
    );
    Ok(quote! {
        #[#private::pyo3::pyfunction]
        #wrapper

        #import

        #both
        #[doc(hidden)]
        #[allow(non_camel_case_types, unreachable_pub, reason = "it has the name of the function, and is as visible")]
        #visibility enum #name {}

        #both
        impl #name {
            #[doc(hidden)]
            pub const _PYO3_DEF: #private::BothFunctions =
                #private::BothFunctions(&#first::_PYO3_DEF, &#second::_PYO3_DEF);

            // PyO3 puts it between quotes in a list. Without introspection, PyO3 does not define it.
            #[doc(hidden)]
            pub const _PYO3_INTROSPECTION_ID: &'static ::core::primitive::str = {
                use #private::without_introspection::*;
                const IDS: &[&[::core::primitive::u8]] = &[
                    { use #first::*; _PYO3_INTROSPECTION_ID }.as_bytes(),
                    b"\",\"",
                    { use #second::*; _PYO3_INTROSPECTION_ID }.as_bytes(),
                ];
                const BOTH: [::core::primitive::u8; #private::combined_len(IDS)] = #private::combine_to_array(IDS);
                match ::core::str::from_utf8(&BOTH) {
                    ::core::result::Result::Ok(both) => both,
                    ::core::result::Result::Err(_) => ::core::unreachable!(),
                }
            };
        }
    })
}
