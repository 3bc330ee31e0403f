//! How writes combine with what is there: patches, server-side apply, and the record of who owns
//! which field.
//!
//! Everything here is a pure function of objects as JSON. The order in a request is that of the
//! Kubernetes API server:
//!
//! - create and update: defaults, then [`managed::record_update`], then what the server itself
//!   fills in (admission, status, generation, uid): nobody owns that.
//! - JSON, merge and strategic merge patch: the patch on the stored object, defaults, then
//!   [`managed::record_update`] with the stored object as the old one.
//! - apply: [`managed::apply`], then defaults.
//!
//! A write through a subresource (or to the main resource of a kind with a status) may come with
//! changes that it cannot make. [`Shape::resets`] lists them: they are neither owned nor taken from
//! others, and the caller puts back what was there after recording.

pub mod managed;

mod apply;
mod builtin;
mod compare;
mod fields;
mod json;
mod shape;
mod strategic;
#[cfg(test)]
mod tests;
mod typed;

pub use json::{json_patch, merge_patch};
pub use managed::Writer;
pub use shape::Shape;
pub use strategic::strategic_patch;
