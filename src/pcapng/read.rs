//! Walks the blocks of a pcapng file that lies in memory.
