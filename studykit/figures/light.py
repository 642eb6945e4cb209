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

from studykit.figures.palette import MOST, in_few_colours

WIDEST = 1200
"""Pixels across that a screen has for a picture in a page; a wider one is shrunk."""

DIGITS = 2
"""Decimals of a drawing's coordinates: 0.01 pt, a fiftieth of a pixel at twice a screen's resolution."""


# ---- pixels


def light_png(data: bytes) -> bytes:
    """A PNG in fewer bytes: in a palette where that looks the same, and no wider than a screen.

    Where all are opaque, colours are matched to the fewest that will do (:mod:`studykit.figures.palette`);
    up to 256 with their opacities are else kept exactly, as are those of a picture that has a palette. What
    would not become smaller is given back as it is.
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
    few = len(colours) <= MOST
    matched = in_few_colours(colours[:, :3], counts) if opaque and not (made and few) else None
    if matched is not None:
        matched = np.pad(matched, ((0, 0), (0, 1)), constant_values=255)
        values, nearest = np.unique(matched.view(np.uint32)[:, 0], return_inverse=True)
        colours, places = values.view(np.uint8).reshape(-1, 4), nearest[places]
    elif not few:
        return picture.convert("RGB") if opaque else picture
    drawn = Image.fromarray(places.reshape(packed.shape).astype(np.uint8), "P")
    drawn.putpalette(colours[:, :3].tobytes())
    if not opaque:
        drawn.info["transparency"] = colours[:, 3].tobytes()
    return drawn


# ---- drawings

_NUMBER = r"-?\d+(?:\.\d+)?"
_PICTURE = re.compile(r'(?<="data:image/png;base64,)[^"]*')
_GLYPH = re.compile(r'(<path id="DejaVuSans-[^"]*" d=")([^"]*)(" transform="scale\()0\.015625(?=\))')
_PATH = re.compile(r'(?<= d=")[MLQCz\d\s.-]*(?=")')
_STEP = re.compile(r"([MLQCz])([^MLQCz]*)")
_TRANSLATION = re.compile(rf"translate\(({_NUMBER}) ({_NUMBER})\)")
_PLACE = re.compile(rf'(?<= )(x|y|x1|y1|x2|y2|width|height)="({_NUMBER})"')
_MOVED_USE = re.compile(rf'(<use xlink:href="[^"]*") transform="translate\(({_NUMBER}) ({_NUMBER})\)"/>')
_LETTER = re.compile(rf'(<use (?:xlink:)?href="#S-[^"]*") x="({_NUMBER})"')
_STYLE = re.compile(r'(?<= style=")[^"]*')
_TWIN = re.compile(r'<path d="([^"]{200,})"( style="[^"]*")?/>\s*<path d="\1"( style="[^"]*")?/>')
_ALIKE = re.compile(r'<use [^>]*( style="[^"]*")/>\n(?:<use [^>]*\1/>\n)+')
_METADATA = re.compile(r"<metadata>.*?</metadata>\n?", re.DOTALL)
_XLINK = ' xmlns:xlink="http://www.w3.org/1999/xlink"'
_COLOUR = re.compile(r"#(\w)\1(\w)\2(\w)\3(?!\w)")
_NAME = re.compile(r'(?<=<g) id="[^"]*"')


def light_svg(drawing: str) -> str:
    """A drawing as matplotlib writes it, with short coordinates and light pictures in it; twice is once.

    A letter stands on a whole unit of its word's scale, a hundredth of the type: 0.05 pt at most from where
    it was at 9 pt. References are those of SVG 2 (``href``), which browsers read since 2018.
    """
    drawing = _PICTURE.sub(lambda match: light_base64(match[0]), drawing)
    drawing = _GLYPH.sub(_short_glyph, drawing)
    drawing = drawing.replace(' id="DejaVuSans-', ' id="S-').replace('="#DejaVuSans-', '="#S-')
    drawing = _PATH.sub(lambda match: _short_path(match[0]), drawing)
    drawing = _TRANSLATION.sub(lambda match: f"translate({_short(match[1])} {_short(match[2])})", drawing)
    drawing = _PLACE.sub(lambda match: f'{match[1]}="{_short(match[2])}"', drawing)
    drawing = _MOVED_USE.sub(_placed_use, drawing)
    drawing = _LETTER.sub(lambda match: f'{match[1]} x="{round(float(match[2]))}"', drawing)
    drawing = _METADATA.sub("", drawing.replace(" xlink:href=", " href=").replace(_XLINK, ""))
    drawing = _STYLE.sub(lambda match: _short_style(match[0]), drawing)
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


def _short_style(style: str) -> str:
    """A style without blanks, #000000 as #000."""
    return _COLOUR.sub(r"#\1\2\3", re.sub(r"([:;]) ", r"\1", style))


def _used_twice(match: re.Match[str]) -> str:
    """A path that is drawn and drawn over, as one that is used twice: words with a halo."""
    path, *styles = match.groups(default="")
    name = "o" + hashlib.sha256(path.encode()).hexdigest()[:10]
    uses = [f'<use href="#{name}"{style}/>' for style in styles]
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
