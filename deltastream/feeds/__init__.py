"""Feeds: providers of market messages."""
