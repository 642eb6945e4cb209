"""The labels of RSNA 2025 Intracranial Aneurysm Detection: thirteen places, and whether there is any at all.

Order and spelling are those of the challenge's ``train.csv``. Everywhere in the kit a site's number is
1 + its place in :data:`SITES`, and 0 means no aneurysm.
"""

SITES = (
    "Left Infraclinoid Internal Carotid Artery",
    "Right Infraclinoid Internal Carotid Artery",
    "Left Supraclinoid Internal Carotid Artery",
    "Right Supraclinoid Internal Carotid Artery",
    "Left Middle Cerebral Artery",
    "Right Middle Cerebral Artery",
    "Anterior Communicating Artery",
    "Left Anterior Cerebral Artery",
    "Right Anterior Cerebral Artery",
    "Left Posterior Communicating Artery",
    "Right Posterior Communicating Artery",
    "Basilar Tip",
    "Other Posterior Circulation",
)
PRESENT = "Aneurysm Present"
LABELS = (*SITES, PRESENT)


def site_number(site: str) -> int:
    """1 + place in :data:`SITES`; 0 for ``""``, no aneurysm.

    Raises:
        ValueError: unknown site; the message lists the known ones.
    """
    if site and site not in SITES:
        raise ValueError(f"unknown aneurysm site {site!r}; known: {', '.join(SITES)}")
    return 1 + SITES.index(site) if site else 0


def label_vector(*sites: str) -> tuple[int, ...]:
    """The 14 labels, 0 or 1, of a volume with aneurysms at ``sites``; all 0 without any.

    Raises:
        ValueError: unknown site; the message lists the known ones.
    """
    numbers = {site_number(site) for site in sites}
    return (*(int(number in numbers) for number in range(1, len(LABELS))), int(bool(numbers)))


def _mirrored(site: str) -> str:
    side, _, rest = site.partition(" ")
    return f"{ {'Left': 'Right', 'Right': 'Left'}[side] } {rest}" if side in ("Left", "Right") else site


MIRRORED = (0, *(1 + SITES.index(_mirrored(site)) for site in SITES))
"""Site number → that of the same place on the other side, as in a volume mirrored left to right."""
