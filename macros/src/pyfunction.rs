//! `#[pyfunction]`: an `async fn` becomes a function that gives Python a coroutine.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result};

use crate::errors::Errors;
use crate::export::{Export, Options, Place, Wrapper, is_for_both, without_python};
use crate::function::parse_item;
use crate::krate;
use crate::runtime::Runtime;

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: ItemFn = match parse_item(&item, "`#[pyfunction]` is for an `async fn`") {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let exported = export(runtime, arguments, &function);
    without_python(&mut function.attrs, &mut function.sig);
    let exported = exported.unwrap_or_else(Error::into_compile_error);
    quote!(#function #exported)
}

fn export(runtime: Runtime, arguments: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let mut options = Options::default();
    errors.sift(options.add(arguments, Place::Ours));
    errors.sift(options.add_attributes(&function.attrs));
    if function.sig.asyncness.is_none() {
        errors.push(Error::new_spanned(
            function.sig.fn_token,
            "this `#[pyfunction]` is for an `async fn`: write `async fn`, or use PyO3's own `#[pyo3::pyfunction]`",
        ));
    }
    let krate = errors.sift(krate::path(options.krate.as_ref()));
    let (Some(krate), true) = (krate, errors.is_empty()) else {
        return errors.into_result().map(|()| TokenStream::new());
    };
    let export = Export {
        visibility: function.vis.clone(),
        signature: &function.sig,
        attributes: &function.attrs,
        options,
        class: None,
    };
    let Wrapper {
        name: wrapper_name,
        function: wrapper,
        annotation,
    } = export.wrapper(runtime, &krate)?;
    let (visibility, name) = (&function.vis, &function.sig.ident);
    let both = function.attrs.iter().filter(|it| is_for_both(it));
    Ok(quote! {
        #[#krate::__private::pyo3::pyfunction]
        #wrapper

        // PyO3 finds a function by a module beside it, of the same name. `self` leaves the wrapper itself behind.
        #(#both)*
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub, reason = "it is as visible as the function")]
        #visibility use #wrapper_name::{self as #name};

        #annotation
    })
}
