#![allow(clippy::disallowed_methods)]

mod audits;
mod claims;
mod deaths;
mod simulation;
mod world;
