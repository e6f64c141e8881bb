//! What each message does.
