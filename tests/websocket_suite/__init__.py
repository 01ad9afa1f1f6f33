"""The public WebSocket conformance cases, without and with the proxy: ``python -m tests.websocket_suite``."""
