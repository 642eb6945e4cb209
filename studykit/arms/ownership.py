"""Is a run the evidence's or the user's own? Decided here, for studies and their notebooks alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from studykit.arms.setups import profile_of, setup_of

HARDWARE = ("nproc",)
"""Parameters that say where a run is made, and not what of."""


def own_parameters(study: str, profile: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the parameters that make a run the user's own, as they differ from what is judged.

    A default that is spelled out counts as the default: ``data`` that is the study's own source, ``seeds``
    that are the profile's, ``spacing_mm`` that is the profile's.

    Args:
        study: name of a study, or of a notebook's folder below ``results/``.
        profile: a profile.
        given: parameters by name; None stands for the default.

    Raises:
        ValueError: unknown profile, or a parameter that nothing is known about; the message lists the known
            ones.
    """
    setup = setup_of(study)
    sizes = profile_of(setup, profile)
    judged = {
        "data": setup.source_at(sizes),
        "seeds": setup.seeds(sizes.repetitions),
        "spacing_mm": sizes.spacing_mm,
    }
    known = (*judged, "profile", *HARDWARE)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"Unknown parameter {', '.join(unknown)}. Known: {', '.join(known)}.")
    if type(count := given.get("seeds")) is int:
        given = {**given, "seeds": setup.seeds(count)}
    return tuple(name for name in judged if _plain(given.get(name)) not in (None, judged[name]))


def _plain(value: Any) -> Any:
    """A list of seeds as the tuple that it stands for."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
