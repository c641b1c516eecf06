"""One file a library: how it computes a case at its best."""
