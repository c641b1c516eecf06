"""The pages of documents, README.md and docs/guide.md, and the examples in them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/guide.md")}


def blocks(*, of="", without=()):
    """(page, code) of the Python examples that hold the word `of` and none of `without`."""
    found = [(name, code) for name, text in PAGES.items() for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    return [(name, code) for name, code in found if of in code and not any(word in code for word in without)]
