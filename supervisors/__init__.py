"""Structured-concurrency supervision on Trio."""
