"""`python -m bench servers`: flowpool against real servers, and against worlds on real sockets."""
