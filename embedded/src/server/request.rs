//! A request on a kind that is served.

use std::sync::Arc;

use super::call::{Answer, Call};
use super::catalog::Served;
use super::route::Target;
use crate::object::Object;

/// A request whose target is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) call: &'a Call,
    pub(crate) target: &'a Target,
    pub(crate) served: &'a Arc<Served>,
}

impl Request<'_> {
    /// The namespace; empty for kinds without, and for all namespaces.
    pub(crate) fn namespace(&self) -> &str {
        if self.served.kind.namespaced {
            &self.target.namespace
        } else {
            ""
        }
    }

    /// The name; empty for collections.
    pub(crate) fn name(&self) -> &str {
        &self.target.name
    }

    /// The subresource; empty for the object itself.
    pub(crate) fn subresource(&self) -> &str {
        &self.target.subresource
    }

    /// An answer with an object of the kind.
    pub(crate) fn object(&self, code: u16, object: Arc<Object>) -> Answer {
        Answer::Object {
            code,
            served: Arc::clone(self.served),
            object,
        }
    }
}
