"""RFC 9111 as functions of (request, response, stored response, options, now)."""
