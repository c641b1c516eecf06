#!/usr/bin/env python3
"""sepconv beside every other library that is installed: one table, one picture. `python bench/peers.py --help`."""

from peers.main import main

if __name__ == "__main__":
    raise SystemExit(main())
