//! The rings on real interfaces: each test makes its own network namespace with a veth
//! pair (needs root and `ip`), so that they run beside each other and touch nothing.

mod delivery;
mod interface;
mod loss;
mod support;
