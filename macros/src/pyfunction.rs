//! `#[pyfunction]`: exports an `async fn` as a Python function that returns a coroutine, or an async generator if it returns a
//! stream.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::arguments;
use crate::errors::Errors;
use crate::export::{Export, ExportOptions, stream_item, without_python};
use crate::function::{Function, option};
use crate::runtime::Runtime;

pub(crate) const EXPECTED: &str = "`#[pyfunction]` must be applied to an `async fn`";

pub(crate) fn expand(
    runtime: Runtime,
    arguments: TokenStream,
    mut function: Function,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let exported = errors.handle(export(runtime, arguments, &function));
    without_python(&mut function.attrs, &mut function.sig);
    Some(quote!(#function #exported))
}

fn export(runtime: Runtime, arguments: TokenStream, function: &Function) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let Function {
        attrs, vis, sig, ..
    } = function;
    let mut options = ExportOptions::default();
    let krate = arguments::parse(arguments, &mut errors, |argument| options.set(argument));
    options.set_all(attrs, &mut errors);
    if sig.asyncness.is_none() && stream_item(&sig.output).is_none() {
        errors.push(
            sig.fn_token,
            "this `#[pyfunction]` needs an `async fn`, or a function that returns `impl Stream<Item = …>`: write `async fn`, or use \
             PyO3's own `#[pyo3::pyfunction]`",
        );
    }
    errors.into_result()?;
    let private = quote!(#krate::__private);
    let export = Export::new(runtime, private, attrs, vis, sig, None, options)?;
    Ok(items(&export))
}

/// The wrappers, each with what PyO3 finds it by: for the user's function a type, for the second one an import.
fn items(export: &Export<'_>) -> TokenStream {
    let Export {
        private,
        visibility,
        signature,
        options,
        ..
    } = export;
    let (hidden, name, second_name) = (export.hidden(), &signature.ident, &options.blocking);
    let (declaration, annotation) = (export.declaration(), export.annotation());
    let (first, function) = export.wrapper();
    let (second, second_function) = export.blocking_wrapper().unzip();
    let blocking = option(second.as_ref().map(|second| quote!(|| &#second::_PYO3_DEF)));
    let second_ids = second.iter();
    // PyO3 finds a function through a module of the same name. `self` imports that module, and not the wrapper.
    let second = second.as_ref().map(|second| {
        quote! {
            #[#private::pyo3::pyfunction]
            #second_function

            #hidden
            #visibility use #second::{self as #second_name};
        }
    });
    quote! {
        #[#private::pyo3::pyfunction]
        #function

        #second

        #hidden
        #visibility enum #name {}

        #hidden
        impl #name {
            // It declares the function, and adds the second one.
            pub const _PYO3_DEF: #private::FunctionDef = #private::FunctionDef {
                builtin: || &#first::_PYO3_DEF,
                blocking: #blocking,
                declaration: #declaration,
            };

            // Without introspection, PyO3 does not define it.
            pub const _PYO3_INTROSPECTION_ID: &'static ::core::primitive::str = {
                use #private::without_introspection::*;

                // PyO3 puts it between quotes in a list.
                const IDS: &[&[::core::primitive::u8]] = &[
                    { use #first::*; _PYO3_INTROSPECTION_ID }.as_bytes(),
                    #(b"\",\"", { use #second_ids::*; _PYO3_INTROSPECTION_ID }.as_bytes(),)*
                ];
                const JOINED: [::core::primitive::u8; #private::combined_len(IDS)] = #private::combine_to_array(IDS);
                match ::core::str::from_utf8(&JOINED) {
                    ::core::result::Result::Ok(joined) => joined,
                    ::core::result::Result::Err(_) => ::core::unreachable!(),
                }
            };
        }

        #annotation
    }
}
