"""HTTP/1.1 over real sockets: connections, proxies, TLS."""
