//! The real program, from its command line to its exit code.

mod demo;
mod discover;
mod events;
mod http;
mod members;
mod reload;
mod running;
mod stuck;
mod usage;
