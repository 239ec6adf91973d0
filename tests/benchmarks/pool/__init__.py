"""What the pool is worth beside its peers, on models of real shapes and on the same requests."""
