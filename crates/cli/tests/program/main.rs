//! The real program, from its command line to its exit code.

mod demo;
mod members;
mod running;
mod usage;
