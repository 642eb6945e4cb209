"""Light pictures: fewer bytes, the same to the eye, the same bytes each time, and once is enough."""

import io
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patheffects import withStroke
from PIL import Image

from studykit.figures.light import WIDEST, light_png, light_svg
from studykit.figures.palette import CROWDED, FAR, SQUARED
from studykit.figures.style import PALETTE

RNG = np.random.default_rng(0)
XLINK = "{http://www.w3.org/1999/xlink}href"
LETTER = re.compile("^#(DejaVuSans|S)-")


def png(pixels, **options):
    """Pixels (H, W, 3 or 4) as a PNG in full colour."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def mode_of(data):
    return Image.open(io.BytesIO(data)).mode


def drawn(kind, draw=lambda axis: None):
    """A small figure with lines, bands, a picture and words, as matplotlib writes it."""
    with plt.rc_context({"svg.hashsalt": "test", "svg.fonttype": "path"}):
        fig, axis = plt.subplots(figsize=(4, 3))
        for place in range(5):
            axis.plot(np.arange(20), np.sin(np.arange(20) + place), marker="o", label=f"arm {place}")
            axis.fill_between(np.arange(20), place / 10, np.cos(np.arange(20)) + place, alpha=0.2)
        axis.imshow(np.arange(12).reshape(3, 4), extent=(2, 6, -1, 0))
        axis.set(title="$x^2$ and words", xlabel="steps")
        draw(axis)
        file = io.BytesIO()
        without = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
        fig.savefig(file, format=kind, metadata=without)
        return file.getvalue()


# ---- pixels


def test_a_drawing_gets_a_palette_that_looks_the_same_in_half_the_bytes():
    before = drawn("png")
    after = light_png(before)
    assert len(after) < len(before) / 2 and mode_of(after) == "P"
    off = np.abs(pixels_of(after) - pixels_of(before)).max(axis=-1)
    assert off.max() <= FAR and (off[off > 0] ** 2).mean() <= SQUARED
    assert (off[pixels_of(before).min(axis=-1) == 255] == 0).all(), "white paper stays white"


def test_twice_is_once_and_equal_pictures_are_equal_files():
    after = light_png(drawn("png"))
    assert light_png(after) == after == light_png(drawn("png"))


def test_few_colours_and_their_opacities_are_kept_exactly():
    colours = RNG.integers(0, 256, (200, 4))
    data = png(colours[RNG.integers(0, 200, (60, 50))])
    after = light_png(data)
    assert mode_of(after) == "P" and len(after) < len(data)
    np.testing.assert_array_equal(pixels_of(after), pixels_of(data))


def test_grey_stays_grey_within_what_an_eye_tells_apart():
    grey = np.repeat(RNG.integers(0, 256, (40, 40, 1)), 3, axis=-1)
    after = pixels_of(light_png(png(grey)))[..., :3]
    assert (after == after[..., :1]).all() and np.abs(after - grey).max() <= 8
    assert len(np.unique(after)) <= 32


def test_a_picture_with_a_palette_has_been_here_and_keeps_its_colours():
    colours = RNG.integers(100, 140, (100, 3))
    file = io.BytesIO()
    palette = Image.fromarray(RNG.integers(0, 100, (60, 50)).astype(np.uint8), "P")
    palette.putpalette(colours.astype(np.uint8).tobytes())
    palette.save(file, "PNG")
    np.testing.assert_array_equal(pixels_of(light_png(file.getvalue())), pixels_of(file.getvalue()))


def test_a_picture_that_no_palette_shows_stays_as_it_is():
    noise = RNG.integers(0, 256, (64, 64, 3))
    after = light_png(png(noise))
    np.testing.assert_array_equal(pixels_of(after)[..., :3], noise)
    veiled = RNG.integers(0, 256, (64, 64, 4))
    np.testing.assert_array_equal(pixels_of(light_png(png(veiled))), veiled)


def test_a_small_mark_of_its_own_colour_survives_among_many_shades():
    ramp = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1)
    pixels = np.concatenate([ramp // 2 + 100, np.full((256, 256, 1), 120)], axis=-1)
    pixels[10:12, 10:12] = (255, 0, 0)
    after = pixels_of(light_png(png(pixels)))
    assert np.abs(after[10:12, 10:12, :3] - (255, 0, 0)).max() <= CROWDED[0]


def test_no_two_colours_of_arms_can_meet_in_one_of_a_small_palette():
    colours = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in PALETTE.values()])
    apart = np.abs(colours[:, None] - colours[None]).max(axis=-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() > 2 * FAR


def test_a_picture_wider_than_a_screen_is_shrunk_in_proportion():
    after = Image.open(io.BytesIO(light_png(png(np.zeros((300, 3 * WIDEST, 3))))))
    assert after.size == (WIDEST, 100)


def test_resolution_is_kept_and_other_notes_go():
    after = Image.open(io.BytesIO(light_png(drawn("png"))))
    assert after.info["dpi"] == pytest.approx((100, 100), abs=0.1)
    assert not getattr(after, "text", {})


def test_what_is_light_already_comes_back():
    file = io.BytesIO()
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(file, "PNG", optimize=True)
    assert light_png(file.getvalue()) == file.getvalue()


# ---- drawings


def absolute(path):
    """End points of the steps of a path, whether these are absolute or relative."""
    points, pen, start = [], np.zeros(2), np.zeros(2)
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [float(number) for number in re.findall(r"-?(?:\d+\.\d+|\.\d+|\d+)", numbers)]
        if command in "zZ":
            pen = start
            continue
        if command in "hv":
            values = [values[0], 0.0] if command == "h" else [0.0, values[0]]
        end = np.array(values[-2:])
        pen = pen + end if command.islower() else end
        start = pen if command in "mM" else start
        points.append(pen)
    return np.array(points)


def paths(drawing):
    return re.findall(r'<path [^>]*?\bd="([^"]*)"', drawing)


def test_a_drawing_is_half_as_heavy_and_twice_is_once():
    before = drawn("svg").decode()
    after = light_svg(before)
    assert len(after) < 0.6 * len(before)
    assert light_svg(after) == after == light_svg(drawn("svg").decode())
    ElementTree.fromstring(after)


def test_every_point_is_where_it_was():
    """Steps are relative to rounded points, so that the last of many is no further off than the first."""
    before = drawn("svg").decode()
    outlines = re.compile(r'<path [^>]*\bid="[^"]*Sans-[^>]*>|<path [^>]*\bid="S-[^>]*>')
    one, other = (paths(outlines.sub("", text)) for text in (before, light_svg(before)))
    assert len(one) == len(other) > 10
    for path, short in zip(one, other, strict=True):
        np.testing.assert_allclose(absolute(short), absolute(path), atol=0.0051)


def test_letters_keep_their_outlines_on_a_coarser_grid():
    before = drawn("svg").decode()
    letter = r'<path id="{}-([0-9a-f]+)" d="([^"]*)" transform="scale\(([\d.]+)\)"'
    one = {m[1]: (m[2], float(m[3])) for m in re.finditer(letter.format("DejaVuSans"), before)}
    other = {m[1]: (m[2], float(m[3])) for m in re.finditer(letter.format("S"), light_svg(before))}
    assert one.keys() == other.keys() and len(one) > 5
    for name, (path, scale) in one.items():
        short, coarse = other[name]
        np.testing.assert_allclose(coarse * absolute(short), scale * absolute(path), atol=scale * 4.01)


def test_letters_stand_where_they_stood():
    """In words at 10 pt: within a hundredth of the type's size of where they were."""
    letters = r'<use [^>]*href="#(?:DejaVuSans|S)-([0-9a-f]+)"(?: transform="translate\(| x=")([\d.]+)'
    before = drawn("svg").decode()
    one, other = (re.findall(letters, text) for text in (before, light_svg(before)))
    assert [name for name, _ in one] == [name for name, _ in other] and len(one) > 20
    off = [abs(float(x) - float(u)) for (_, x), (_, u) in zip(one, other, strict=True)]
    assert 0 < max(off) <= 0.51


def test_everything_that_is_referred_to_is_there():
    root = ElementTree.fromstring(light_svg(drawn("svg").decode()))
    names = {node.get("id") for node in root.iter()} - {None}
    used = {node.get("href").removeprefix("#") for node in root.iter() if node.tag.endswith("}use")}
    clips = set(re.findall(r"url\(#(\w+)\)", ElementTree.tostring(root, encoding="unicode")))
    assert used and clips and used | clips <= names


def test_copies_stay_in_place_number_and_look():
    """A copy's style may stand on the group around it."""

    def copies(drawing):
        found = []

        def walk(node, style):
            style = node.get("style", style)
            copied = node.get(XLINK) or node.get("href", "")
            if node.tag.endswith("}use") and node.get("x") and not LETTER.search(copied):
                look = re.sub(r"#(.)\1(.)\2(.)\3\b", r"#\1\2\3", re.sub(r"\s", "", style))
                found.append((float(node.get("x")), float(node.get("y", 0)), look))
            for child in node:
                walk(child, style)

        walk(ElementTree.fromstring(drawing), "")
        return [copy for copy in found if copy[2]]

    before = drawn("svg").decode()
    one, other = copies(before), copies(light_svg(before))
    assert len(one) == len(other) >= 100
    for (x, y, style), (u, v, same) in zip(one, other, strict=True):
        assert (u, v) == pytest.approx((x, y), abs=0.0051) and same == style


def test_words_with_a_halo_are_drawn_from_one_outline():
    def halo(axis):
        axis.text(3, 0, "halo of words", path_effects=[withStroke(linewidth=3, foreground="white")])

    before = drawn("svg", halo).decode()
    after = light_svg(before)
    (name,) = re.findall(r'<defs><path id="(o\w+)"', after)
    stroked, plain = re.findall(rf'<use href="#{name}"([^/]*)/>', after)
    assert "stroke:#fff" in stroked and plain == ""
    assert light_svg(after) == after


def test_numbers_are_short():
    path = "M 0.004 -0.25 \nL 10.5 -0.25 \nL 10.5 3.999 \nL 12 5 \nQ 1 1 2 2.5 \nz\nM 1 1 \nL 2 2 \n"
    drawing = f'<path d="{path}" style="fill: none; stroke: #000000"/>'
    assert light_svg(drawing) == (
        '<path d="M0-.25h10.5v4.25l1.5 1q-11-4-10-2.5zm1 1.25l1 1" style="fill:none;stroke:#000"/>\n'
    )
