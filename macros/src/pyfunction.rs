//! `#[pyfunction]`: exports an `async fn` as a Python function that returns a coroutine, or an async generator if it returns a
//! stream.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::Result;
use syn::ext::IdentExt as _;

use crate::arguments::crate_path;
use crate::errors::Errors;
use crate::export::{Export, ExportOptions, is_for_both, stream_item, without_python};
use crate::function::{Function, option, parse_item};
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
    let (second, blocking) = match export.blocking()? {
        None => (None, None),
        Some(blocking) => {
            // The annotation is that of the first function.
            let (wrapper, _) = blocking.wrapper()?;
            let import = import(&blocking)?;
            let second = quote!(#[#private::pyo3::pyfunction] #wrapper #import);
            (Some(second), Some(blocking.wrapper_name()))
        }
    };
    let definition = definition(&export, blocking.as_ref());
    Ok(quote! {
        #[#private::pyo3::pyfunction]
        #wrapper

        #second

        #definition

        #annotation
    })
}

/// PyO3 finds a function through a module of the same name. `self` imports that module, and not the wrapper.
fn import(blocking: &Export<'_>) -> Result<TokenStream> {
    let name = blocking.options.name.as_ref();
    let name = name.expect("the second function has a name");
    let name = name.parse_with(Ident::parse_any)?;
    let (wrapper, visibility) = (blocking.wrapper_name(), &blocking.visibility);
    let both = blocking.attributes.iter().filter(|it| is_for_both(it));
    Ok(quote! {
        #(#both)*
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub, reason = "it is as visible as the function")]
        #visibility use #wrapper::{self as #name};
    })
}

/// A type in place of PyO3's module. It has a definition of our own, which declares the function and adds the second one.
fn definition(export: &Export<'_>, blocking: Option<&Ident>) -> TokenStream {
    let Export {
        private,
        visibility,
        signature,
        ..
    } = export;
    let both = export.attributes.iter().filter(|it| is_for_both(it));
    let both = quote!(#(#both)*);
    let (name, first) = (&signature.ident, export.wrapper_name());
    let declaration = export.declaration();
    let second = option(blocking.map(|second| quote!(|| &#second::_PYO3_DEF)));
    let introspection = match blocking {
        None => quote!({ use #first::*; _PYO3_INTROSPECTION_ID }),
        // PyO3 puts it between quotes in a list.
        Some(second) => quote! {
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
        },
    };
    quote! {
        #both
        #[doc(hidden)]
        #[allow(
            dead_code,
            missing_debug_implementations,
            non_camel_case_types,
            unreachable_pub,
            reason = "it has the name of the function, and is as visible"
        )]
        #visibility enum #name {}

        #both
        #[doc(hidden)]
        #[allow(dead_code, unused_imports, reason = "a function may be exported nowhere, or without introspection")]
        impl #name {
            pub const _PYO3_DEF: #private::FunctionDef = #private::FunctionDef {
                builtin: || &#first::_PYO3_DEF,
                blocking: #second,
                declaration: #declaration,
            };

            // Without introspection, PyO3 does not define it.
            pub const _PYO3_INTROSPECTION_ID: &'static ::core::primitive::str = {
                use #private::without_introspection::*;
                #introspection
            };
        }
    }
}
