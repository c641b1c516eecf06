"""The comparison behind `bench/peers.py`; bench/README.md tells what it measures and how."""
