//! An Elixir release without a line about clustering, and its replicas.
