//! Claims about kernels that are connected by a wire in memory.

mod ahead;
mod altact;
mod cluster;
mod hostile;
mod links;
mod monitors;
mod nodes;
mod properties;
mod requests;
mod wire;
