"""The embedded sample backend: a small web app that shows in a browser what the proxy does.

``python -m revproxy.demo`` runs it alone, ``--with-proxy`` puts ``twistd revproxy`` in front of it. Nothing
in the proxy imports this package.
"""
