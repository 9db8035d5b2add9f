"""HTTP/1.1 over sockets, in parts. `flowpool.transport` is the face; nothing else imports from here."""
