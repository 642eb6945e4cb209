"""What comes back fits through: in parts, and without the largest of what is too large for them."""

import json
import random

import pytest

from studykit.bundle import collect
from studykit.bundle.manifest import FILE, Manifest, Needs


@pytest.fixture
def node(tmp_path):
    """The folder of a bundle with a manifest and a log."""
    root = tmp_path / "node"
    (root / "logs").mkdir(parents=True)
    values = Manifest(
        commit="a" * 40, dirty=False, studies=("effective-rank",), further={}, profile="gpu", minutes=10,
        on_a_card=1, rules={}, rounded_by=0, needs=Needs("3.12", "2.8", True, 1, 1, 1),
    ).to_dict()  # fmt: skip
    (root / FILE).write_text(json.dumps(values))
    (root / "logs" / "run.log").write_text("trained\n")
    return root


def test_what_is_too_large_for_one_file_comes_back_in_parts(node, tmp_path, monkeypatch):
    path, _ = collect.collect(node, tmp_path)
    whole = path.read_bytes()
    assert collect.split(path) == [path] and path.exists()
    monkeypatch.setattr(collect, "PART_BYTES", len(whole) // 2)
    parts = collect.split(path)
    assert [part.name for part in parts] == [f"{path.name}.{n}" for n in range(1, len(parts) + 1)]
    assert len(parts) > 1 and not path.exists()
    assert b"".join(part.read_bytes() for part in parts) == whole
    path.write_bytes(whole)
    monkeypatch.setattr(collect, "PART_BYTES", len(whole))
    assert collect.split(path) == [path] and not parts[0].exists()


def test_the_largest_goes_first_where_too_much_would_come_back(node, tmp_path, monkeypatch, capsys):
    size = collect.collect(node, tmp_path)[0].stat().st_size
    (node / "logs" / "large.log").write_bytes(random.Random(0).randbytes(60_000))
    monkeypatch.setattr(collect, "MOST_PARTS", 1)
    monkeypatch.setattr(collect, "PART_BYTES", size + 1000)
    path, _ = collect.collect(node, tmp_path)
    assert path.stat().st_size <= size + 1000
    assert capsys.readouterr().out == "left out, too large: logs/large.log, 0.1 MB\n"
