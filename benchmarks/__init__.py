"""Measures revproxy beside other proxies, in interleaved rounds on one machine (``docs/benchmarks.rst``)."""
