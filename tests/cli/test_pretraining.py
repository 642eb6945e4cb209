"""What the help of ``pretrain`` tells."""

import pytest

from studykit.cli import main


def test_pretrain_help_tells_its_backbones(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    said = capsys.readouterr().out
    assert "backbones: unetr, " in said and "wave-unet" in said and "mae-vit" not in said
    assert "maskings: random, nested" in said and "objectives: reconstruction, " in said
