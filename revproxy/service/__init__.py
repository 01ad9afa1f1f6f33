"""Processes: what is built from a configuration, and how it starts and stops."""
