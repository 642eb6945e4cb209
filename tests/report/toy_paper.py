"""Claims, an estimate and the facts of a machine, made by hand for the tests of this folder."""

from studykit.claims.claim import Claim, Reported
from studykit.claims.estimate import Estimate
from studykit.claims.rule import Alternative, Gate, Rule

EFFECT = Rule(
    "effect", "steps ratio", "higher", "ratio", null=1.0, reported=5.8, least_effect=1.25, repetitions=5,
    units="seeds", family="effects", gates=(Gate("the baseline learns", above=0.0),),
    sensitivity=(Alternative("half way", "depth"),),
)  # fmt: skip
COUNT = Rule("count", "forward FLOPs", reported=223.8, tolerance=0.01)


def make_claim(id: str, rule: Rule = EFFECT, study: str = "speed", **more) -> Claim:
    return Claim(
        paper="toy",
        id=id,
        sentence='Faster <by far> & "cheaper", as they say.',
        study=study,
        notebook=f"01_{study}",
        reported=(Reported("speed-up", rule.reported, "×", "abstract"),),
        unknown=("The criterion | is not stated.",),
        rule=rule,
        sources=("abstract",),
        **more,
    )


FACTS = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": True,
    "hardware": {"cpu": "Toy CPU", "cores": 2, "memory_gib": 8.0, "gpus": [], "cuda": None},
    "packages": {"torch": "2.13.0"},
}


def ratio(value: float, low: float, high: float, n: int = 5) -> Estimate:
    return Estimate(value, low, high, n, "reduced-scale", unit="×")
