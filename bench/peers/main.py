"""The command line of bench/peers.py."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from . import cases, native, table
from .measure import Machine, Result, Team, measure
from .registry import PEERS


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="sepconv beside every other library that is installed.")
    add = parser.add_argument
    add("--cases", nargs="*", default=[], metavar="NAME", help=f"families ({', '.join(cases.families())}), cases, JSON files; all")
    add("--train", action="store_true", help="time a step of training: the result and all gradients")
    add("--peers", nargs="*", metavar="NAME", help=f"some of {', '.join(PEERS)}; all")
    add("--threads", type=int, action="append", metavar="N", help="may be repeated; 1 and 2")
    add("--rounds", type=int, default=50, metavar="N", help="visits to every participant (50)")
    add("--seconds", type=float, default=0.01, metavar="S", help="length of a visit (0.01)")
    add("--json", metavar="FILE", help="write all numbers there")
    add("--plot", metavar="FILE", help="draw a roofline and the ratios there (needs matplotlib)")
    build = Path(__file__).parents[2] / "build" / "bench"
    add("--build", metavar="DIR", default=str(build), help="where the C++ workers are built")
    arguments = parser.parse_args(argv)
    allowed = [name for name, row in PEERS.items() if row.trains or not arguments.train]
    arguments.peers = allowed if arguments.peers is None else arguments.peers
    unknown = [name for name in arguments.peers if name not in allowed]
    if unknown:
        parser.error(f"`--peers` must be some of {', '.join(allowed)}. Received: {', '.join(unknown)}")
    if arguments.rounds < 1 or arguments.seconds <= 0 or min(arguments.threads or [1]) < 1:
        parser.error("`--rounds`, `--seconds` and `--threads` must be positive")
    return arguments


class _Bar:
    """A progress bar on stderr; without tqdm, nothing."""

    def __init__(self, total: int) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar: Any = None
        else:
            self._bar = tqdm(total=total, unit="case", file=sys.stderr)

    def tell(self, text: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def update(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.close()


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    chosen = (cases.load_training if arguments.train else cases.load)(arguments.cases)
    names = [name for name in PEERS if name in arguments.peers or name in ("sepconv", "sepconv C")]
    programs, why = native.build(Path(arguments.build))
    absent: dict[str, str] = {}
    versions: dict[str, str] = {}
    if why:
        absent.update({name: why for name in names if PEERS[name].native and not (programs / PEERS[name].program).exists()})
    results: list[Result] = []
    machines: list[Machine] = []
    threads = arguments.threads or [1, 2]
    with _Bar(len(chosen) * len(threads)) as bar:
        try:
            for count in threads:
                machine, team = Machine(count), Team(names, count, programs, absent, versions)
                machines.append(machine)
                try:
                    team.machine(machine)
                    for case in chosen:
                        team.peak(machine)
                        results.append(measure(team, case, arguments.rounds, arguments.seconds, bar.tell))
                        bar.update()
                    team.peak(machine)
                    team.machine(machine)
                finally:
                    team.close()
        except KeyboardInterrupt:
            print("interrupted: what follows is what was measured until then", file=sys.stderr)
    _report(results, machines, [name for name in names if name in versions], " of a training step" if arguments.train else "")
    print("versions: " + "; ".join(f"{name}: {version}" for name, version in versions.items()))
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")
    command = shlex.join(["python", "bench/peers.py", *(sys.argv[1:] if argv is None else argv)])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(table.to_json(results, machines, versions, absent, command), indent=1) + "\n")
    if arguments.plot:
        from .plot import draw

        draw(results, machines, arguments.plot)
    return 1 if any(why.startswith("WRONG") for result in results for why in result.without.values()) else 0


def _report(results: list[Result], machines: list[Machine], names: list[str], what: str) -> None:
    for machine in machines:
        mine = [result for result in results if result.threads == machine.threads]
        peak, large = machine.peak("float32") / 1e9, machine.bandwidth(1 << 28) / 1e9
        print(f"\n## {machine.threads} thread{'s' if machine.threads > 1 else ''}, median ms{what}\n")
        print(table.markdown(list(table.rows(mine, machine, names))))
        print(f"\n{table.processor()}; peak {peak:.0f} GFLOP/s (float32), copying 256 MiB {large:.0f} GB/s")
        for line in [*table.summary(mine), *table.notes(mine), *table.impossible(mine, machine)]:
            print(line)
    print()
