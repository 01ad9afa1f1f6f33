"""``revproxy explain``: one request, and in plain words what the proxy would do with it and why."""
