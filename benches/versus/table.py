"""Markdown of the results."""

from __future__ import annotations

from statistics import median


def short(value):
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def spread(values):
    """The median, with the least and the most."""
    least, most = short(min(values)), short(max(values))
    return short(median(values)) + (f" ({least}–{most})" if least != most else "")


def cells(row, figure, sides):
    """One cell for each side, and the quotient of the medians if there are two."""
    samples = [[sample[figure] for sample in row.get(side, ())] for side in sides]
    texts = [spread(values) if values else "–" for values in samples]
    if len(sides) == 2:
        texts.append(ratio(*map(median, samples)) if all(samples) else "")
    return texts


def ratio(first, second):
    return f"{first / second:.2f}" if second > 0 else ""


def lines(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "| " + " | ".join(["---", *["---:"] * (len(header) - 1)]) + " |"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def titles(sides, unit):
    quotient = [f"{sides[0]} / {sides[1]}"] if len(sides) == 2 else []
    return [f"{side}, {unit}" if unit else side for side in sides] + quotient


def alone(results, sides):
    header = ["case", *titles(sides, "µs"), *titles(sides, "µs of CPU")]
    rows = ([case, *cells(row, "wall", sides), *cells(row, "cpu", sides)] for case, row in results.items())
    return lines(header, rows)


def probes(results, sides):
    rows = []
    for name, row in results.items():
        figures = next(iter(row.values()))[0]
        rows += [[f"{name}: {figure}", *cells(row, figure, sides)] for figure in figures]
    return lines(["case", *titles(sides, "")], rows)


def mix(results, alone_results, sides):
    """How a case fares among the others. A change of more than 20 % is bold."""
    header = ["case"]
    for side in sides:
        header += [f"{side} alone, µs", f"{side} in the mix, µs", "mix / alone"]
    rows = []
    for case, row in results.items():
        texts = [case]
        for side in sides:
            before = [sample["wall"] for sample in alone_results[case][side]]
            after = [sample["wall"] for sample in row[side]]
            change = median(after) / median(before)
            flag = "" if 1 / 1.2 <= change <= 1.2 else "**"
            texts += [spread(before), spread(after), f"{flag}{change:.2f}{flag}"]
        rows.append(texts)
    return lines(header, rows)


def markdown(loop, results, sides):
    """Every table of one loop."""
    parts = []
    if results.get("alone"):
        parts += [f"### {loop}", "\n".join(alone(results["alone"], sides))]
    if results.get("probes"):
        parts += [f"### {loop}: other figures", "\n".join(probes(results["probes"], sides))]
    if results.get("mix"):
        parts += [f"### {loop}: the mix", "\n".join(mix(results["mix"], results["alone"], sides))]
    return "\n\n".join(parts) + "\n"
