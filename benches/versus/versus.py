"""Measures pyo3-asyncio (ours) against pyo3-async-runtimes (the peer), or against another build of itself."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import cases
import probes
import runner
import table

LOOPS = ("asyncio", "uvloop", "tokio")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in three minutes")
    parser.add_argument("--case", metavar="SUBSTRING", default="", help="only cases with this in their name; no mix")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--rounds", type=int, help=f"processes for each case (default: {runner.FULL.rounds})")
    parser.add_argument("--loop", choices=LOOPS, help="the event loop (default: all)")
    parser.add_argument("--only", choices=("ours", "peer"), help="one side")
    parser.add_argument("--against", metavar="MODULE", type=Path, help="compare with another build of ours: its versus_ours library")
    parser.add_argument("--baseline", metavar="JSON", type=Path, help="compare with ours in an earlier --json file")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample")
    parser.add_argument("--seed", type=int, help="of the order in the mix")
    arguments = parser.parse_args()
    if arguments.against and arguments.only:
        parser.error("--against compares two builds of ours: it cannot go with --only")
    if arguments.only == "peer" and arguments.baseline:
        parser.error("--baseline compares ours: it cannot go with --only peer")
    return arguments


def choose_sides(arguments):
    ours, peer = (runner.BUILT / f"libversus_{side}.so" for side in ("ours", "peer"))
    if arguments.against:
        sides = {"before": arguments.against, "after": ours}
    else:
        sides = {"peer": peer, "ours": ours}
    if arguments.only:
        sides = {arguments.only: sides[arguments.only]}
    for path in sides.values():
        if not path.is_file():
            raise SystemExit(f"{path} is not there: `cargo xtask bench` builds it")
    return {side: path.resolve() for side, path in sides.items()}


def choose_loops(arguments):
    if arguments.loop:
        return [arguments.loop]
    return [loop for loop in LOOPS if loop == "tokio" or find_spec(loop)]


def compare(before, after):
    """The results of ours in both, as those of two sides."""

    def ours(rows, name):
        for side in ("ours", "after"):
            for case, row in rows.items():
                if side in row:
                    yield case, {name: row[side]}

    joined = {}
    for loop in after:
        joined[loop] = {}
        for kind in after[loop]:
            earlier = dict(ours(before.get(loop, {}).get(kind, {}), "before"))
            later = dict(ours(after[loop][kind], "now"))
            joined[loop][kind] = {case: earlier[case] | later[case] for case in later if case in earlier}
    return joined


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join([*[case.name for case in cases.ALL], *probes.PROBES]))
        return
    scale = runner.QUICK if arguments.quick else runner.FULL
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds)
    # Both files are opened before anything is measured, so that a wrong name costs no time.
    baseline = json.loads(arguments.baseline.read_text()) if arguments.baseline else None
    if arguments.json:
        arguments.json.touch()
    sides = choose_sides(arguments)
    seed = runner.new_seed() if arguments.seed is None else arguments.seed
    heading = f"{runner.machine()}, {runner.amount(scale)}, seed {seed}, median (least–most)"

    results = runner.measure(sides, choose_loops(arguments), scale, arguments.case, seed)
    if arguments.json:
        document = {"heading": heading, "seed": seed, "scale": asdict(scale), "loops": results}
        arguments.json.write_text(json.dumps(document, indent=1))
    print(f"\n{heading}\n")
    for loop in results:
        print(table.markdown(loop, results[loop], list(runner.sides_on(loop, sides))))
    if baseline:
        print(f"Ours now, against ours in {arguments.baseline} ({baseline['heading']}):\n")
        for loop, joined in compare(baseline["loops"], results).items():
            print(table.markdown(loop, joined, ["before", "now"]))


if __name__ == "__main__":
    main()
