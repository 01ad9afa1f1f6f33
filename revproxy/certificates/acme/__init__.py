"""Certificates from an ACME server (RFC 8555).

Start with ``issuance.py``; ``renewal.py`` holds what is decided, ``order.py`` how one certificate is had.
"""
