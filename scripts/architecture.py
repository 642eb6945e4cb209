"""Draws docs/architecture.svg: the rooms of the package and who imports whom, as the imports themselves say.

A room stands above all that it imports. An arrow is left out where two others lead the same way. Run it after
an import between rooms has come or gone:

    python scripts/architecture.py
"""

import ast
from collections.abc import Iterable
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "studykit"
PICTURE = ROOT / "docs" / "architecture.svg"
LEFT_OUT = {"__main__", "__init__", "registry", "atomic", "home", "imports"}
"""What starts the program, and helpers that every room may use."""
WIDTH, FLOOR, HEIGHT, LETTER, GAP, LINE = 900, 78, 34, 8.2, 26, 10
TALLEST, SWEEPS = 20, 24

Node = tuple[str, int]
"""A room and its floor, or a place on a floor by which arrows pass on their way to a room below."""


def rooms_of(package: Path) -> dict[str, set[str]]:
    """Each room, a folder or a module of the package, and the rooms that it imports."""
    imports: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room not in LEFT_OUT:
            found = {name.split(".")[1] for name in _imported(path) if "." in name}
            imports.setdefault(room, set()).update(found - LEFT_OUT - {room})
    return {room: others & imports.keys() for room, others in imports.items()}


def _imported(path: Path) -> set[str]:
    """Dotted names below ``studykit`` that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "studykit":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("studykit.")}
    return names


def floors_of(imports: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room, 0 at the bottom: one above the highest that it imports."""
    floor: dict[str, int] = {}
    for room in TopologicalSorter(imports).static_order():
        floor[room] = max((floor[other] + 1 for other in imports[room]), default=0)
    return floor


def direct(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports that no chain of others stands for."""
    reached: dict[str, set[str]] = {}
    for room in TopologicalSorter(imports).static_order():
        reached[room] = set(imports[room]).union(*(reached[other] for other in imports[room]))
    return [
        (room, other)
        for room in sorted(imports)
        for other in sorted(imports[room])
        if not any(other in reached[between] for between in imports[room])
    ]


def chains_of(imports: dict[str, set[str]]) -> dict[tuple[str, str], list[Node]]:
    """The way of each arrow down the floors: by places free beside rooms, shared on the way to one."""
    floor = floors_of(imports)
    return {
        (upper, lower): [
            (upper, floor[upper]),
            *((f"> {lower}", level) for level in range(floor[upper] - 1, floor[lower], -1)),
            (lower, floor[lower]),
        ]
        for upper, lower in direct(imports)
    }


def places_of(chains: Iterable[list[Node]], rooms: Iterable[Node]) -> dict[Node, float]:
    """Where on its floor each node has its middle, near those that it is joined to on the floors beside."""
    joined: dict[Node, set[Node]] = {room: set() for room in rooms}
    for chain in chains:
        for upper, lower in pairwise(chain):
            joined.setdefault(upper, set()).add(lower)
            joined.setdefault(lower, set()).add(upper)
    floors = [sorted(node for node in joined if node[1] == level) for level in range(TALLEST)]
    place = {node: WIDTH * (at + 1) / (len(floor) + 1) for floor in floors for at, node in enumerate(floor)}
    for sweep in range(SWEEPS):
        up = sweep % 2 == 0
        for level in range(TALLEST) if up else range(TALLEST - 1, -1, -1):
            wish = {}
            for node in floors[level]:
                beside = [place[other] for other in sorted(joined[node]) if (other[1] < level) == up]
                wish[node] = sum(beside) / len(beside) if beside else place[node]
            place |= _apart(wish)
    return place


def _apart(wish: dict[Node, float]) -> dict[Node, float]:
    """Nodes of a floor as near to where they wish to be as their widths allow, in that order."""
    order = sorted(wish, key=lambda node: (wish[node], node))
    found: list[float] = []
    right = 0.0
    for node in order:
        found.append(max(wish[node], right + GAP + width_of(node) / 2))
        right = found[-1] + width_of(node) / 2
    shift = sum(x - wish[node] for x, node in zip(found, order, strict=True)) / max(len(order), 1)
    ends = found[0] - width_of(order[0]) / 2 if order else 0, right
    shift = min(max(shift, ends[1] + GAP - WIDTH), ends[0] - GAP)
    return {node: x - shift for x, node in zip(found, order, strict=True)}


def width_of(node: Node) -> float:
    name, _ = node
    return LINE if name.startswith(">") else len(name) * LETTER + 24


def picture(imports: dict[str, set[str]]) -> str:
    """The whole picture as SVG; colours suit a light and a dark page."""
    rooms = sorted(floors_of(imports).items())
    chains = chains_of(imports)
    place = places_of(chains.values(), rooms)
    top = max(level for _, level in rooms)

    left = min(x - width_of(node) / 2 for node, x in place.items()) - GAP
    right = max(x + width_of(node) / 2 for node, x in place.items()) + GAP

    def point(node: Node, edge: float) -> tuple[float, float]:
        return round(place[node] - left, 1), GAP + (top - node[1]) * FLOOR + edge

    width, height = f"{right - left:.0f}", top * FLOOR + HEIGHT + 2 * GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'role="img" font-family="sans-serif" font-size="14">',
        "<title>Rooms of studykit and who imports whom: every arrow runs downwards</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8Z" fill="#7a7a7a"/></marker></defs>',
        '<g fill="none" stroke="#7a7a7a" stroke-width="1.2">',
    ]
    for (upper, lower), chain in chains.items():
        way = ""
        for start, end in pairwise(chain):
            (x1, y1), (x2, y2) = point(start, HEIGHT), point(end, 0)
            bend = (y2 - y1) / 2
            way += f"M{x1} {y1}" if not way else f"L{x1} {y1}"
            way += f"C{x1} {y1 + bend:g} {x2} {y2 - bend:g} {x2} {y2}"
        lines.append(f'<path d="{way}" marker-end="url(#tip)"><title>{upper} imports {lower}</title></path>')
    lines.append("</g>")
    for room in rooms:
        x, y = point(room, 0)
        width = width_of(room)
        lines.append(
            f'<rect x="{x - width / 2:.1f}" y="{y}" width="{width:g}" height="{HEIGHT}" rx="6" '
            f'fill="#e8f0f7" stroke="#2b6ca3"/><text x="{x}" y="{y + 22}" text-anchor="middle" '
            f'fill="#15324a">{room[0]}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(rooms_of(PACKAGE)), encoding="utf-8")
