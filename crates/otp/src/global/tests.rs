#![allow(clippy::disallowed_methods)]

mod audits;
mod claims;
mod deaths;
mod leaves;
mod simulation;
mod world;
