"""The command line: `python -m sepconv [selftest | demo [train]]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from . import __version__, ops, show_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status, 2 for a bad SEPCONV_ISA; without a command, print the configuration."""
    about = "Depthwise-separable convolution on CPUs. Without a command: the configuration."
    parser = argparse.ArgumentParser(prog="python -m sepconv", description=about)
    parser.add_argument("--version", action="version", version=f"sepconv {__version__}")
    parser.add_argument("--selftest", action="store_true", help="the same as the command selftest")
    commands = parser.add_subparsers(dest="command", metavar="selftest | demo")
    commands.add_parser("selftest", help="check every kernel of this machine; exits with 1 if one is wrong")
    demo = commands.add_parser("demo", help="run layers on a photograph and write a picture; needs the extra [demo]")
    train = "train a network on handwritten digits instead; needs the extra [train]"
    demo.add_argument("what", nargs="?", choices=["train"], metavar="train", help=train)
    demo.add_argument("--image", metavar="PATH", help="a picture of your own")
    demo.add_argument("--output", metavar="PATH", help="where to write the PNG (default: sepconv_demo.png, sepconv_train.png)")
    chosen = parser.parse_args(arguments)
    if chosen.selftest and chosen.command not in (None, "selftest"):
        parser.error(f"--selftest doesn't go with the command {chosen.command}")
    if chosen.command == "demo" and chosen.what and chosen.image is not None:
        demo.error("--image doesn't go with train")
    if (chosen.selftest or chosen.command) and (refusal := _refused_instruction_set()):
        print(f"sepconv: {refusal}", file=sys.stderr)
        return 2
    if chosen.selftest or chosen.command == "selftest":
        from . import selftest

        return selftest.main()
    if chosen.command == "demo" and chosen.what:
        from . import demo_train

        return demo_train.main(chosen.output)
    if chosen.command == "demo":
        from . import demo as _demo

        return _demo.main(chosen.image, chosen.output)
    show_config()
    return 0


def _refused_instruction_set() -> str:
    """What the first plan says of SEPCONV_ISA; nothing where it is right."""
    pixel = np.zeros((1, 1, 1, 1), np.float32)
    try:
        ops.depthwise_conv(pixel, pixel)
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())
