//! The chat, from calls to the store.

mod moderation;
