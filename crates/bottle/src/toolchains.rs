//! Toolchains under the home directory.
