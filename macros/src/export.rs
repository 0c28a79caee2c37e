//! What `#[pyfunction]` and `#[pymethods]` have in common: an `async fn` gets a plain function beside it, which PyO3 exports.
//!
//! The `async fn` stays as it is, for Rust to call. The wrapper has its parameters, so PyO3 extracts the arguments when it
//! is called, and returns a coroutine of the future that the `async fn` gives.

mod options;
mod signature;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, Error, LitStr, Result, Signature, Type, Visibility};

use crate::errors::Errors;
use crate::function::{check_that_it_can_be_called, is_any_of, option};
use crate::runtime::Runtime;
pub(crate) use options::{Options, Place, of_impl};
use signature::{Parameter, Parameters, Returns};

/// An `async fn` that is exported.
pub(crate) struct Export<'a> {
    pub(crate) visibility: Visibility,
    pub(crate) signature: &'a Signature,
    pub(crate) attributes: &'a [Attribute],
    pub(crate) options: Options,
    /// What it is a method of.
    pub(crate) class: Option<&'a Type>,
}

/// What PyO3 passes of itself, in the first place.
enum First {
    Object,
    Class,
    Module,
}

impl First {
    /// To whoever does not take it.
    fn advice(self) -> &'static str {
        match self {
            Self::Object => {
                "a method gets its object first: take `&self`, `&mut self` or `slf: Py<Self>`, or make it a `#[staticmethod]`"
            }
            Self::Class => "a class method gets its class first: take `cls: Py<PyType>`",
            Self::Module => {
                "with `pass_module` a function gets its module first: take `module: Py<PyModule>`"
            }
        }
    }
}

/// A wrapper, and what it takes to name it elsewhere.
pub(crate) struct Wrapper {
    pub(crate) name: Ident,
    pub(crate) function: TokenStream,
    /// An item to go beside it.
    pub(crate) annotation: Option<TokenStream>,
}

impl Export<'_> {
    /// The plain function that PyO3 is to export. The attribute that makes it do so is the caller's to add.
    pub(crate) fn wrapper(&self, runtime: Runtime, krate: &TokenStream) -> Result<Wrapper> {
        let mut errors = Errors::default();
        check_that_it_can_be_called(self.signature, "an exported `async fn`", &mut errors);
        let parameters = errors.sift(Parameters::parse(self.signature));
        let returns = errors.sift(Returns::parse(
            &self.signature.output,
            self.python_name() == "__anext__",
        ));
        errors.into_result()?;
        let (Some(parameters), Some(returns)) = (parameters, returns) else {
            unreachable!("what is not there is an error");
        };
        self.check_first(&parameters)?;
        let name = format_ident!("__pyo3_asyncio_{}", self.signature.ident);
        let head = self.head(krate);
        let visibility = &self.visibility;
        let private = quote!(#krate::__private);
        let inputs = self.inputs(&parameters, &private);
        let (output, annotation) = match &self.options.returns {
            None => (returns.in_python(&private), None),
            Some(text) => {
                let (name, item) = self.annotation(text, &private);
                (quote!(#private::Annotated<#name>), Some(item))
            }
        };
        let body = self.body(&parameters, &returns, runtime, &private);
        let function = quote! {
            #head
            #visibility fn #name<'py>(#inputs) -> #private::pyo3::PyResult<#private::Coroutine<'py, #output>> {
                #body
            }
        };
        Ok(Wrapper {
            name,
            function,
            annotation,
        })
    }

    /// A type that stands for what the signature says is returned.
    fn annotation(&self, text: &LitStr, private: &TokenStream) -> (Ident, TokenStream) {
        let class = self.class.to_token_stream().to_string();
        let class: String = class.chars().filter(|c| c.is_alphanumeric()).collect();
        let name = format_ident!("__pyo3_asyncio_{class}_{}_returns", self.signature.ident);
        let visibility = &self.visibility;
        let both = self.attributes.iter().filter(|it| is_for_both(it));
        let both = quote!(#(#both)*);
        let item = quote! {
            #both
            #[doc(hidden)]
            #[allow(non_camel_case_types, unreachable_pub, reason = "it is named after the function, and as visible")]
            #visibility enum #name {}

            #both
            impl #private::Annotation for #name {
                const TEXT: &'static ::core::primitive::str = #text;
            }
        };
        (name, item)
    }

    pub(crate) fn python_name(&self) -> String {
        let given = self.options.name.as_ref();
        given.map_or_else(|| self.signature.ident.unraw().to_string(), LitStr::value)
    }

    /// The attributes: the user's that are about Python, and ours.
    fn head(&self, krate: &TokenStream) -> TokenStream {
        // What `#[pyo3(…)]` says is among the options.
        let is_kept =
            |it: &&Attribute| !it.path().is_ident("pyo3") && is_for_python(it) || is_for_both(it);
        let python = self.attributes.iter().filter(is_kept);
        let name = LitStr::new(&self.python_name(), self.signature.ident.span());
        let name = self.options.name.is_none().then(|| quote!(name = #name,));
        // On a method the path stands at the `impl`.
        let path = (self.class.is_none() && !self.options.has_pyo3_path).then(|| pyo3_path(krate));
        let path = path.map(|path| quote!(crate = #path,));
        let options = &self.options.forwarded;
        quote! {
            #(#python)*
            #[doc(hidden)]
            #[pyo3(#name #path #(#options),*)]
            #[allow(
                clippy::too_many_arguments,
                deprecated,
                non_snake_case,
                reason = "what it says of the `async fn` is said there"
            )]
        }
    }

    fn inputs(&self, parameters: &Parameters, private: &TokenStream) -> TokenStream {
        let (py, slf) = (local("py"), local("slf"));
        let receiver = parameters
            .receiver
            .as_ref()
            .map(|_| quote!(#slf: #private::pyo3::Py<Self>,));
        let mut rest = parameters.rest.iter().filter(|it| !it.is_cancel_handle);
        let passes_first = receiver.is_none() && self.first().is_some();
        let first = passes_first.then(|| rest.next()).flatten();
        let first = first.map(Parameter::for_python).map(|it| quote!(#it,));
        let rest = rest.map(Parameter::for_python);
        quote!(#receiver #first #py: #private::pyo3::Python<'py>, #(#rest),*)
    }

    fn first(&self) -> Option<First> {
        let has = |name| self.attributes.iter().any(|it| it.path().is_ident(name));
        match self.class {
            Some(_) if has("staticmethod") => None,
            Some(_) if has("classmethod") => Some(First::Class),
            Some(_) => Some(First::Object),
            None => self.options.pass_module.then_some(First::Module),
        }
    }

    fn check_first(&self, parameters: &Parameters) -> Result<()> {
        let is_taken = parameters.rest.iter().any(|it| !it.is_cancel_handle);
        match (self.first(), &parameters.receiver) {
            (None, Some(receiver)) => Err(Error::new(
                receiver.span,
                "no object is passed here: leave `self` out",
            )),
            (None, None) | (Some(First::Object), Some(_)) => Ok(()),
            (Some(_), None) if is_taken => Ok(()),
            (Some(first), _) => Err(Error::new(self.signature.ident.span(), first.advice())),
        }
    }

    fn body(
        &self,
        parameters: &Parameters,
        returns: &Returns,
        runtime: Runtime,
        private: &TokenStream,
    ) -> TokenStream {
        let (py, slf, held) = (local("py"), local("slf"), local("held"));
        let runtime = runtime.ty();
        let python_name = self.python_name();
        let options = self.coroutine_options(parameters, private);
        let name = &self.signature.ident;
        let receiver = parameters.receiver.as_ref();
        // What is wrong with an object is shown at the receiver, and what cannot be awaited from Python, such as a future that
        // is not `Send`, at the return type.
        let at_receiver = receiver.map_or_else(Span::call_site, |it| here(it.span));
        let at_output = here(returns.span().unwrap_or_else(|| name.span()));
        // The path begins where the rest is, or else an error would be shown from the attribute on.
        let (of_receiver, of_output) = (moved(private, at_receiver), moved(private, at_output));
        let (hold, held, way) = match receiver.map(|it| it.is_exclusive) {
            None => (quote!(), quote!(), quote!(#private::Owning)),
            Some(false) => (
                quote_spanned!(at_receiver=> let #held = #of_receiver::shared(&#slf, #python_name).await?;),
                quote_spanned!(at_receiver=> &#held,),
                quote!(#private::SharedWay<Self>),
            ),
            Some(true) => (
                quote_spanned!(at_receiver=> let mut #held = #of_receiver::exclusive(&#slf, #python_name).await?;),
                quote_spanned!(at_receiver=> &mut #held,),
                quote!(#private::Borrowing),
            ),
        };
        let function = match self.class {
            Some(_) => quote!(Self::#name),
            None => quote!(#name),
        };
        let arguments = parameters.rest.iter().map(|it| &it.name);
        let output = local("output");
        let result = returns.result(&output, private, at_output);
        let call = quote_spanned!(at_output=> #function(#held #(#arguments),*));
        let future = match receiver {
            None => quote_spanned!(at_output=> #of_output::converted(#call, |#output| #result)),
            Some(_) => quote_spanned! {at_output=>
                async move {
                    #hold
                    let #output = #call.await;
                    #result
                }
            },
        };
        match &parameters.cancel_handle() {
            None => quote_spanned! {at_output=>
                #of_output::coroutine::<#private::#runtime, #way, _, _, _>(#py, #options, #future)
            },
            Some(cancel) => quote_spanned! {at_output=>
                #of_output::cancellable_coroutine::<#private::#runtime, #way, _, _, _>(#py, #options, |#cancel| #future)
            },
        }
    }

    fn coroutine_options(&self, parameters: &Parameters, private: &TokenStream) -> TokenStream {
        let (py, arguments) = (local("py"), local("arguments"));
        let slf = parameters.receiver.as_ref().map(|_| local("slf"));
        let rest = parameters.rest.iter().filter(|it| !it.is_cancel_handle);
        let held = slf
            .into_iter()
            .chain(rest.map(|it| it.name.to_token_stream()));
        let name = self.python_name();
        let eager_start = self.options.eager_start;
        let class = self
            .class
            .map(|_| quote!(<Self as #private::pyo3::PyClass>::NAME));
        let class = option(class);
        quote! {
            #private::CoroutineOptions {
                names: || (#name, #class),
                eager_start: #eager_start,
                arguments: {
                    let mut #arguments = #private::Arguments::new();
                    #(#private::argument(&#held).show(#py, &mut #arguments);)*
                    #arguments
                },
            }
        }
    }
}

/// The user's `async fn`, without what is said in it to PyO3.
pub(crate) fn without_python(attributes: &mut Vec<Attribute>, signature: &mut Signature) {
    attributes.retain(|attribute| !is_for_python(attribute));
    for input in &mut signature.inputs {
        let attributes = match input {
            syn::FnArg::Receiver(receiver) => &mut receiver.attrs,
            syn::FnArg::Typed(typed) => &mut typed.attrs,
        };
        attributes.retain(|attribute| !attribute.path().is_ident("pyo3"));
    }
}

/// PyO3, as it is found from the user's crate under whatever name.
pub(crate) fn pyo3_path(krate: &TokenStream) -> LitStr {
    let path = quote!(#krate::__private::pyo3).to_string();
    LitStr::new(&path.replace(' ', ""), Span::call_site())
}

/// What PyO3 has no `async fn` for, and what to do instead.
const NEVER_AWAITED: [(&str, &str); 5] = [
    (
        "new",
        "Python does not await `__new__`: make the object in a class method, `#[classmethod] async fn connect(cls: \
         Py<PyType>, …) -> PyResult<Self>`, or in a `#[staticmethod]`",
    ),
    (
        "getter",
        "Python reads a property without awaiting it: make it a method",
    ),
    (
        "setter",
        "Python does not await an assignment: make it a method",
    ),
    ("deleter", "Python does not await a `del`: make it a method"),
    (
        "classattr",
        "Python makes a class attribute without awaiting it: make it a class method",
    ),
];

/// Why a method with this attribute cannot be an `async fn`.
pub(crate) fn never_awaited(attribute: &Attribute) -> Option<&'static str> {
    let mut names = NEVER_AWAITED.iter();
    let found = names.find(|(name, _)| attribute.path().is_ident(name));
    found.map(|(_, message)| *message)
}

fn is_for_python(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["classmethod", "pyo3", "staticmethod"])
        || never_awaited(attribute).is_some()
}

/// What is there only under a condition is exported only under it, and PyO3 makes the docstring of the documentation.
pub(crate) fn is_for_both(attribute: &Attribute) -> bool {
    is_any_of(attribute, &["cfg", "doc"])
}

/// Where an error in generated code is shown.
fn here(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

fn moved(tokens: &TokenStream, span: Span) -> TokenStream {
    let moved = tokens.clone().into_iter().map(|mut token| {
        token.set_span(span);
        token
    });
    moved.collect()
}

/// A name of ours among the user's parameters.
fn local(name: &str) -> TokenStream {
    Ident::new(name, Span::mixed_site()).into_token_stream()
}
