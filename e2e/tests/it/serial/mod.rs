//! Tests that disturb the whole cluster and run alone.

mod api_server;
mod front_door;
mod pages;
mod programs;
mod releases;
