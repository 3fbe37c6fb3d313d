//! What providers and clients do wrong, one fault after the other: what the client gets, that nothing is left behind, and
//! that other requests are served as before.

mod clients;
mod connections;
mod half_open;
mod lost;
mod provider;
mod scene;
