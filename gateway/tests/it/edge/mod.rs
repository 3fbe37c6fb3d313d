//! The edges: TLS on both sides, the proxy, limits, slow and hostile clients, encodings, HTTP/2 towards providers.

pub mod clients;
mod encoding;
mod files;
mod hostile;
mod http2;
mod https;
mod limits;
pub mod pki;
mod providers;
