"""Sizes and set-up of a study as they were at a commit: what shows that a verdict is of the design that ran.

The modules of that commit are asked in a process of their own, from an archive of git's, as they then stood:
their home has moved since.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from studykit.runs.provenance import ROOT, git

_ASK = """
import json, sys
from dataclasses import asdict
study, profile = sys.argv[1:]
try:
    from studykit.arms.setups import profile_of, setup_of
except ImportError:
    try:
        from studykit.setups import profile_of, setup_of
    except ImportError:
        from studykit.profiles import pretraining_profile
        try:
            from studykit.setups import setup_of
        except ImportError:
            setup_of = None
        def profile_of(setup, name):
            return pretraining_profile(name, **({"many_arms": setup.many_arms} if setup else {}))
setup = setup_of(study) if setup_of else None
print(json.dumps({**(asdict(setup) if setup else {}), **asdict(profile_of(setup, profile))}))
"""


def precedes(earlier: str, later: str, root: Path = ROOT) -> bool | None:
    """Whether one commit is the other or an ancestor of it; None where git does not know one of them."""
    known = [git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None for commit in (earlier, later)]
    if not all(known):
        return None
    return git(root, "merge-base", "--is-ancestor", earlier, later) is not None


def design_at(commit: str, study: str, profile: str, root: Path = ROOT) -> dict[str, Any] | None:
    """Name of a size or of a part of the set-up → its value at a commit; None where git does not know it.

    Raises:
        RuntimeError: the code of that commit has no such study or profile; the message ends with its words.
    """
    packed = subprocess.run(["git", "archive", commit, "studykit"], cwd=root, capture_output=True)
    if packed.returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        tarfile.open(fileobj=io.BytesIO(packed.stdout)).extractall(folder, filter="data")
        found = subprocess.run(
            [sys.executable, "-c", _ASK, study, profile], cwd=folder, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": folder},
        )  # fmt: skip
    if found.returncode:
        raise RuntimeError(f"{study} at {commit[:12]} has no profile {profile!r}: {found.stderr[-300:]}")
    return json.loads(found.stdout)


def changed_since(commit: str, study: str, profile: str, root: Path = ROOT) -> dict[str, tuple[Any, Any]]:
    """Of what a design consisted of at a commit: name → value then and at present, where they differ.

    What came later has a default that was in force before it had a name.
    """
    then, now = design_at(commit, study, profile, root), design_at("HEAD", study, profile, root)
    if then is None or now is None:
        return {}
    return {name: (old, now.get(name)) for name, old in then.items() if now.get(name) != old}
