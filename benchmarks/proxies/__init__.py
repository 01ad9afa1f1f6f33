"""Small proxies written as their libraries suggest; each a program: LISTEN_PORT ORIGIN_PORT ACCESS_LOG."""
