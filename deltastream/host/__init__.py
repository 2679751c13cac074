"""One host: its configuration, data directory, supervisor tree and control socket."""
