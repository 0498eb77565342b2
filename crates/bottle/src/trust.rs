//! The trust store.
