"""Certificates: read from files, matched to names, kept fresh, and made into the contexts that TLS is spoken with."""
