//! pcapng (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>): bytes in, values out, and back.

pub mod write;
