"""The fewest colours that show a picture: the fewer there are, the longer the runs that a PNG packs.

Centres far from each other first, so that a small mark has one of its own, then means of what lies around
each (Lloyd, "Least squares quantization in PCM", 1982), and more of them until nothing is further off than
an eye tells apart.
"""

import numpy as np

MOST = 256
"""Colours of a palette."""

FAR = 30
"""How far off in a channel (of 255) any pixel may be: two arms' colours, more than twice as far apart,
can never turn alike."""

SQUARED = 16.0
"""Mean squared error of pixels that do not keep their colour: 36 dB."""

CROWDED = (80, 60.0)
"""The same of a picture whose colours fill a palette: 30 dB."""

OWN = 8
"""Of the most frequent colours, paper and ink among them, each keeps its own."""

MANY, CELL = 4096, 4
"""Where a picture has more colours than that, as many levels of a channel are looked at as one."""


def in_few_colours(colours: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Opaque colours (n, 3), found ``counts`` times (n,), as the nearest of a palette of few; or None.

    None says that even 256 would show too little of the picture.

    >>> shades = np.repeat(np.arange(256)[:, None], 3, axis=1)
    >>> few = in_few_colours(shades, np.ones(256, int))
    >>> len(np.unique(few, axis=0)) < 32, int(np.abs(few.astype(int) - shades).max()) < 12
    (True, True)
    """
    cells, members = _cells(colours, counts)
    weights = np.bincount(members, counts)
    reach = np.zeros(len(cells))
    np.maximum.at(reach, members, np.abs(colours - cells[members]).max(axis=1))
    own = np.argsort(-weights, kind="stable")[:OWN]
    table = _far_apart(cells, reach, int(weights.argmax()))
    while True:
        table, nearest = _settled(cells, weights, table, own)
        off = np.abs(table[nearest] - cells).max(axis=1) + reach
        far = off > FAR
        squared = (off**2 * weights).sum() / max(1.0, weights[off > 0].sum())
        if not far.any() and squared <= SQUARED:
            break
        if len(table) >= MOST:
            if off.max() > CROWDED[0] or squared > CROWDED[1]:
                return None
            break
        worst = np.argsort(-np.where(far.any(), far * off, off**2 * weights), kind="stable")
        table = np.concatenate([table, cells[worst[: max(1, len(table) // 8)]]])[:MOST]
    return table[nearest][members].astype(np.uint8)


def _cells(colours: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (m, 3) of colours that lie together, and which is each colour's; frequent ones stand alone."""
    steps = [1 << 16, 1 << 8, 1]
    keys = (colours.astype(int) // (CELL if len(colours) > MANY else 1)) @ steps
    alone = np.argsort(-counts, kind="stable")[:OWN]
    keys[alone] = (1 << 24) + colours[alone].astype(int) @ steps
    _, members = np.unique(keys, return_inverse=True)
    weights = np.bincount(members, counts)
    means = np.stack([np.bincount(members, counts * channel) for channel in colours.T], axis=1)
    return np.round(means / weights[:, None]).astype(np.float32), members


def _far_apart(cells: np.ndarray, reach: np.ndarray, first: int) -> np.ndarray:
    """Cells to begin with: the furthest from those taken, until none is out of reach."""
    taken = [first]
    off = np.abs(cells - cells[first]).max(axis=1) + reach
    while off.max() > FAR and len(taken) < MOST:
        taken.append(int(off.argmax()))
        off = np.minimum(off, np.abs(cells - cells[taken[-1]]).max(axis=1) + reach)
    return cells[taken]


def _settled(
    cells: np.ndarray, weights: np.ndarray, table: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The palette moved to the means of what is nearest to it, and which is nearest to each cell.

    A rare colour weighs more than its pixels, by the square root, so that a thin line keeps its own.
    """
    rare = np.sqrt(weights)
    for _ in range(4):
        nearest = _nearest(cells, table)
        shares = np.bincount(nearest, rare, len(table))
        means = np.stack([np.bincount(nearest, rare * channel, len(table)) for channel in cells.T], axis=1)
        table = np.where(shares[:, None] > 0, means / np.maximum(shares, 1e-9)[:, None], table)
        table = np.round(table).astype(np.float32)
    nearest = _nearest(cells, table)
    for place in own[::-1]:
        table[nearest[place]] = cells[place]
    return table, _nearest(cells, table)


def _nearest(cells: np.ndarray, table: np.ndarray) -> np.ndarray:
    return ((table**2).sum(axis=1) - 2 * cells @ table.T).argmin(axis=1)
