//! `#[pymethods]`: each `async fn` among the methods becomes one that gives Python a coroutine.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::{Error, ImplItem, ImplItemFn, ItemImpl, Result, Visibility};

use crate::errors::Errors;
use crate::export::{Export, Options, of_impl, pyo3_path, without_python};
use crate::krate;
use crate::runtime::Runtime;

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut methods = match syn::parse2::<ItemImpl>(item.clone()) {
        Ok(methods) => methods,
        Err(error) => {
            let message = "`#[pymethods]` is for an `impl` block";
            let error = Error::new(error.span(), message).into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let krate = errors
        .sift(of_impl(arguments))
        .and_then(|krate| errors.sift(krate::path(krate.as_ref())));
    let Some(krate) = krate else {
        let errors = errors.into_compile_error();
        return quote!(#item #errors);
    };
    let own = take_async(&mut methods, |method| {
        errors.sift(export(runtime, &krate, method))
    });
    let has_pyo3_path = methods.attrs.iter().any(|it| it.path().is_ident("pyo3"));
    let path = (!has_pyo3_path).then(|| pyo3_path(&krate));
    let path = path.map(|path| quote!(#[pyo3(crate = #path)]));
    let (ty, errors) = (&methods.self_ty, errors.into_compile_error());
    quote! {
        #[#krate::__private::pyo3::pymethods]
        #path
        #methods

        impl #ty {
            #(#own)*
        }

        #errors
    }
}

/// Puts the wrapper of each `async fn` in its place, and gives those that were taken out.
fn take_async(
    methods: &mut ItemImpl,
    mut export: impl FnMut(&ImplItemFn) -> Option<TokenStream>,
) -> Vec<ImplItemFn> {
    let mut own = Vec::new();
    let items = std::mem::take(&mut methods.items);
    methods.items = items
        .into_iter()
        .filter_map(|item| match item {
            ImplItem::Fn(mut method) if method.sig.asyncness.is_some() => {
                let wrapper = export(&method);
                without_python(&mut method.attrs, &mut method.sig);
                own.push(method);
                wrapper.map(ImplItem::Verbatim)
            }
            other => Some(other),
        })
        .collect();
    own
}

fn export(runtime: Runtime, krate: &TokenStream, method: &ImplItemFn) -> Result<TokenStream> {
    let mut errors = Errors::default();
    errors.sift(check_kind(method));
    let mut options = Options::default();
    errors.sift(options.add_attributes(&method.attrs));
    errors.into_result()?;
    let export = Export {
        visibility: Visibility::Inherited,
        signature: &method.sig,
        attributes: &method.attrs,
        options,
        is_method: true,
    };
    Ok(export.wrapper(runtime, krate)?.function)
}

/// Refuses what Python never awaits.
fn check_kind(method: &ImplItemFn) -> Result<()> {
    const AWAITED: [&str; 4] = ["__aenter__", "__aexit__", "__anext__", "__call__"];
    let mut errors = Errors::default();
    for attribute in &method.attrs {
        let message = match attribute.path().to_token_stream().to_string().as_str() {
            "new" => {
                "Python does not await `__new__`: make the object in a class method, `#[classmethod] async fn connect(cls: \
                 Py<PyType>, …) -> PyResult<Self>`, or in a `#[staticmethod]`"
            }
            "getter" => "Python reads a property without awaiting it: make it a method",
            "setter" | "deleter" => "Python does not await an assignment: make it a method",
            "classattr" => {
                "Python makes a class attribute without awaiting it: make it a class method"
            }
            _ => continue,
        };
        errors.push(Error::new_spanned(attribute, message));
    }
    let name = method.sig.ident.unraw().to_string();
    let is_special = name.starts_with("__") && name.ends_with("__");
    if is_special && !AWAITED.contains(&name.as_str()) {
        let awaited = AWAITED.join("`, `");
        errors.push(Error::new(
            method.sig.ident.span(),
            format!("Python does not await what `{name}` returns: of the special methods `{awaited}` may be `async fn`"),
        ));
    }
    errors.into_result()
}
