"""The actors of a host."""
