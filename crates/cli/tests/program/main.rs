//! The real program, from its command line to its exit code.

mod demo;
mod events;
mod discover;
mod members;
mod reload;
mod running;
mod usage;
