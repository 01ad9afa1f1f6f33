"""``python -m revproxy.demo [--with-proxy [--tls]] [--port N]``."""

from revproxy.demo.run import main

if __name__ == "__main__":
    main()
