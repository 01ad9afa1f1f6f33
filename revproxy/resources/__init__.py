"""The tree of Twisted resources: virtual hosts, routes, and what answers at the leaves."""
