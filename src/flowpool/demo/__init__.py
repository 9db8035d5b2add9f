"""What `flowpool demo` shows: its documents, and the pages that a local site serves them as."""
