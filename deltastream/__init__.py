"""DeltaStream: real-time option analytics on supervised Trio actors with a Rust core."""
