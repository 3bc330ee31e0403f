//! Tables: what `kubectl get` prints.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::list_metadata;
use super::call::Page;
use super::catalog::Served;
use super::negotiate::Form;
use crate::object::Object;
use crate::present::table::{self, Include};
use crate::status::Status;

/// Reads what the client wants in the rows.
pub(crate) fn include(text: &str) -> Result<Include, Status> {
    Include::parse(text).ok_or_else(|| {
        Status::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {text:?}: \
             must be 'Metadata', 'Object', 'None', or empty"
        ))
    })
}

/// A table of one object.
pub(crate) fn object(
    served: &Served,
    object: &Arc<Object>,
    include: Include,
    headers: bool,
    now: Timestamp,
) -> Value {
    table::single(&served.kind, object.value(), include, headers, now)
}

/// A table of a list.
pub(crate) fn list(page: &Page, include: Include, now: Timestamp) -> Value {
    table::table(
        &page.served.kind,
        page.objects.iter().map(|object| object.value()),
        list_metadata(page, Form::Table),
        include,
        true,
        now,
    )
}
