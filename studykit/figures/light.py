"""Light pictures: the same to the eye in a third of the bytes, and the same bytes each time.

A PNG gets a palette, a drawing's coordinates lose the digits that no screen shows. Pixels and paths alone
change: words, sizes and names stay.
"""

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

WIDEST = 1200
"""Pixels across that a screen has for a picture in a page; a wider one is shrunk."""

PALETTES = {32: (12.0, 30), 64: (12.0, 30), 128: (12.0, 30), 256: (60.0, 80)}
"""Colours of a palette, the mean squared error (of 255) let pass, and how far off any pixel may be.

37 dB, and 30 dB where colours crowd; a pixel further off would be a small mark that loses a colour of its
own, and at half the distance of two arms' colours they could turn alike.
"""

DIGITS = 2
"""Decimals of a drawing's coordinates: 0.01 pt, a fiftieth of a pixel at twice a screen's resolution."""


# ---- pixels


def light_png(data: bytes) -> bytes:
    """A PNG in fewer bytes: in a palette where that looks the same, and no wider than a screen.

    Where all are opaque, colours are matched to the smallest palette that will do; up to 256 with their
    opacities are else kept exactly, as are those of a picture that has a palette. What would not become
    smaller is given back as it is.
    """
    picture = Image.open(io.BytesIO(data))
    made = picture.mode == "P"
    dpi = picture.info.get("dpi")
    pixels = _within(picture.convert("RGBA"))
    encoded = io.BytesIO()
    _drawn(np.asarray(pixels), pixels, made).save(
        encoded, "PNG", optimize=True, **({"dpi": dpi} if dpi else {})
    )
    shrunk = pixels.size != picture.size
    return encoded.getvalue() if shrunk or encoded.tell() < len(data) else data


def light_base64(text: str) -> str:
    """As :func:`light_png`, of a PNG in base64; what cannot be read as a picture is given back as it is."""
    try:
        return base64.b64encode(light_png(base64.b64decode(text))).decode()
    except (ValueError, OSError):
        return text


def _within(picture: Image.Image) -> Image.Image:
    if picture.width <= WIDEST:
        return picture
    height = max(1, round(picture.height * WIDEST / picture.width))
    return picture.resize((WIDEST, height), Image.Resampling.LANCZOS)


def _drawn(pixels: np.ndarray, picture: Image.Image, made: bool) -> Image.Image:
    """The lightest of a palette or full colour that looks as ``pixels`` (H, W, 4) do; exact once ``made``."""
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    values, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = values.view(np.uint8).reshape(-1, 4)
    opaque = bool((colours[:, 3] == 255).all())
    few = len(colours) <= max(PALETTES)
    matched = _matched(colours, counts) if opaque and not (made and few) else None
    if matched is not None:
        values, nearest = np.unique(matched.view(np.uint32)[:, 0], return_inverse=True)
        colours, places = values.view(np.uint8).reshape(-1, 4), nearest[places]
    elif not few:
        return picture.convert("RGB") if opaque else picture
    drawn = Image.fromarray(places.reshape(packed.shape).astype(np.uint8), "P")
    drawn.putpalette(colours[:, :3].tobytes())
    if not opaque:
        drawn.info["transparency"] = colours[:, 3].tobytes()
    return drawn


def _matched(colours: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Opaque colours (n, 4), found ``counts`` times, as the nearest of the smallest palette that will do."""
    for size, (most, far) in PALETTES.items():
        if size >= len(colours):
            return None
        table = _palette_of(colours[:, :3], counts, size).astype(np.float32)
        distance = (table**2).sum(axis=1) - 2 * colours[:, :3].astype(np.float32) @ table.T
        matched = table[distance.argmin(axis=1)].astype(np.uint8)
        off = np.abs(matched.astype(int) - colours[:, :3]).max(axis=1)
        if off.max() <= far and np.average(off**2, weights=counts) <= most:
            return np.pad(matched, ((0, 0), (0, 1)), constant_values=255)
    return None


def _palette_of(colours: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """A palette for colours (n, 3): a quarter of it the most frequent ones, unchanged, the rest a median cut.

    Rare colours weigh more than their pixels, by the square root, so that a thin line keeps its own.
    """
    often = np.argsort(-counts, kind="stable")[: size // 4]
    rest = np.setdiff1d(np.arange(len(colours)), often)
    weights = np.maximum(1, np.sqrt(counts[rest]).round().astype(int))
    sample = Image.fromarray(np.repeat(colours[rest], weights, axis=0)[None])
    cut = sample.quantize(size - size // 4, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
    found = np.array(cut.getpalette(), np.uint8).reshape(-1, 3)[: size - size // 4]
    return np.concatenate([colours[often], found])


# ---- drawings

_NUMBER = r"-?\d+(?:\.\d+)?"
_PICTURE = re.compile(r'(?<="data:image/png;base64,)[^"]*')
_GLYPH = re.compile(r'(<path id="DejaVuSans-[^"]*" d=")([^"]*)(" transform="scale\()0\.015625(?=\))')
_PATH = re.compile(r'(?<= d=")[MLQCz\d\s.-]*(?=")')
_STEP = re.compile(r"([MLQCz])([^MLQCz]*)")
_TRANSLATION = re.compile(rf"translate\(({_NUMBER}) ({_NUMBER})\)")
_PLACE = re.compile(rf'(?<= )(x|y|x1|y1|x2|y2|width|height)="({_NUMBER})"')
_MOVED_USE = re.compile(rf'(<use xlink:href="[^"]*") transform="translate\(({_NUMBER}) ({_NUMBER})\)"/>')
_STYLE = re.compile(r'(?<= style=")[^"]*')
_TWIN = re.compile(r'<path d="([^"]{200,})"( style="[^"]*")?/>\s*<path d="\1"( style="[^"]*")?/>')
_ALIKE = re.compile(r'<use [^>]*( style="[^"]*")/>\n(?:<use [^>]*\1/>\n)+')
_NAME = re.compile(r'(?<=<g) id="[^"]*"')


def light_svg(drawing: str) -> str:
    """A drawing as matplotlib writes it, with short coordinates and light pictures in it; twice is once."""
    drawing = _PICTURE.sub(lambda match: light_base64(match[0]), drawing)
    drawing = _GLYPH.sub(_short_glyph, drawing)
    drawing = drawing.replace(' id="DejaVuSans-', ' id="S-').replace('="#DejaVuSans-', '="#S-')
    drawing = _PATH.sub(lambda match: _short_path(match[0]), drawing)
    drawing = _TRANSLATION.sub(lambda match: f"translate({_short(match[1])} {_short(match[2])})", drawing)
    drawing = _PLACE.sub(lambda match: f'{match[1]}="{_short(match[2])}"', drawing)
    drawing = _MOVED_USE.sub(_placed_use, drawing)
    drawing = _STYLE.sub(lambda match: re.sub(r"([:;]) ", r"\1", match[0]), drawing)
    drawing = _TWIN.sub(_used_twice, drawing)
    lines = _without_bare_groups(line.strip() for line in drawing.splitlines())
    return _ALIKE.sub(_styled_together, "\n".join(lines) + "\n")


def _without_bare_groups(lines: Iterable[str]) -> Iterator[str]:
    """Lines of a drawing without groups that only have a name, to which nothing refers."""
    bare = []
    for line in lines:
        if line.startswith("<g"):
            line = _NAME.sub("", line)
            if line.endswith("/>"):
                continue
            bare.append(line == "<g>")
        if not (line in ("<g>", "</g>") and bare[-1]):
            yield line
        if line == "</g>":
            bare.pop()


def _short_glyph(match: re.Match[str]) -> str:
    """A letter's outline on a grid eight times as coarse, which is 0.01 pt at 9 pt."""
    return f"{match[1]}{_short_path(match[2], unit=8, digits=0)}{match[3]}0.125"


def _placed_use(match: re.Match[str]) -> str:
    """A moved copy by its place, ``x`` and ``y``, which means the same."""
    given = [
        f' {axis}="{number}"' for axis, number in zip("xy", match.groups()[1:], strict=True) if number != "0"
    ]
    return f"{match[1]}{''.join(given)}/>"


def _used_twice(match: re.Match[str]) -> str:
    """A path that is drawn and drawn over, as one that is used twice: words with a halo."""
    path, *styles = match.groups(default="")
    name = "o" + hashlib.sha256(path.encode()).hexdigest()[:10]
    uses = [f'<use xlink:href="#{name}"{style}/>' for style in styles]
    return "\n".join([f'<defs><path id="{name}" d="{path}"/></defs>', *uses])


def _styled_together(match: re.Match[str]) -> str:
    """Copies in a row that look alike, in one group with their look."""
    return f"<g{match[1]}>\n{match[0].replace(match[1], '')}</g>\n"


def _short_path(path: str, unit: float = 10.0**-DIGITS, digits: int = DIGITS) -> str:
    """A path of absolute steps as one of relative steps between rounded points, so that no error adds up.

    Args:
        path: its ``d``, of the steps that matplotlib writes.
        unit: what coordinates are rounded to, in their own scale.
        digits: decimals in which a count of units is written.
    """
    written, pen, start = [], (0, 0), (0, 0)

    def joined(units: Iterable[int]) -> str:
        return " ".join(_written(count, digits) for count in units).replace(" -", "-")

    for command, numbers in _STEP.findall(path):
        if command == "z":
            written.append("z")
            pen = start
            continue
        points = [round(float(number) / unit) for number in numbers.split()]
        moves = [value - pen[place % 2] for place, value in enumerate(points)]
        if not written:
            written.append(command + joined(points))
        elif command == "L" and 0 in moves:
            written.append("h" + joined(moves[:1]) if moves[1] == 0 else "v" + joined(moves[1:]))
        else:
            written.append(command.lower() + joined(moves))
        pen = (points[-2], points[-1])
        start = pen if command == "M" else start
    return "".join(written)


def _short(number: str) -> str:
    return _written(round(float(number) * 10**DIGITS), DIGITS)


def _written(count: int, digits: int) -> str:
    """A count of the smallest unit, of ``digits`` decimals, as the shortest decimal number."""
    whole, part = divmod(abs(count), 10**digits)
    decimals = f"{part:0{digits}d}".rstrip("0") if digits else ""
    number = f"{whole or ''}.{decimals}" if decimals else str(whole)
    return f"-{number}" if count < 0 else number
