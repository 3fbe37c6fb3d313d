//! The gateway from outside: its data path and its control side. One binary, because each links everything again.

mod control;
