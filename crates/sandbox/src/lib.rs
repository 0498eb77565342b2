//! Confinement of one process on this machine.
