"""Sockets as both sides need them; nothing of HTTP."""
