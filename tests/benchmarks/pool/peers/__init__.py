"""Those that answer the same requests, each in processes of its own that end with a measurement."""
