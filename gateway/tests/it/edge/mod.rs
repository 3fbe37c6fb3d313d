//! The edges: TLS on both sides, the proxy, limits, slow and hostile clients, encodings, HTTP/2 towards providers.

mod clients;
mod hostile;
mod https;
mod limits;
mod pki;
mod providers;
