import hashlib
import tarfile

import numpy as np
import pytest
from tiny_task import TASK, write_task
from tiny_volumes import blob

from studykit.data.files.decathlon import TASKS, TaskUnavailable, read_task
from studykit.data.sources import open_source
from studykit.data.volumes.labels import read_labels
from studykit.data.volumes.volumes import read_volume


def test_training_list_is_read(tmp_path):
    subjects = read_task(write_task(tmp_path))
    assert [(s.id, s.modality) for s in subjects] == [("case_001", "MR"), ("case_002", "MR")]
    volume = read_volume(subjects[0].image)
    assert read_labels(subjects[0].labels, volume).max() == 1


def test_every_channel_of_a_4d_image_is_an_entry_of_its_subject(tmp_path):
    subjects = read_task(write_task(tmp_path, ("FLAIR", "T1w")))
    assert [(s.id, s.modality) for s in subjects][:2] == [("case_001", "FLAIR"), ("case_001", "T1w")]
    first, second = (read_volume(s.image).array for s in subjects[:2])
    np.testing.assert_array_equal(second, blob(seed=1))
    assert not np.array_equal(first, second)


def test_a_list_that_leads_outside_is_refused(tmp_path):
    folder = write_task(tmp_path)
    text = (
        (folder / "dataset.json").read_text(encoding="utf-8").replace("./imagesTr/case_001", "../../case_001")
    )
    (folder / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match="outside its folder"):
        read_task(folder)


def test_unpacked_by_hand_needs_no_monai(tmp_path):
    write_task(tmp_path / "msd")
    assert open_source(f"msd:{TASK}", cache=tmp_path).ids == ("case_001", "case_002")


def packed(root) -> bytes:
    write_task(root)
    with tarfile.open(root / "x.tar", "w") as archive:
        archive.add(root / TASK, TASK)
    return (root / "x.tar").read_bytes()


@pytest.fixture
def served(index, tmp_path, monkeypatch):
    """MONAI's table points to our server, which has a task of two subjects."""
    apps = pytest.importorskip("monai.apps")
    index.files[f"{TASK}.tar"] = packed(tmp_path / "server")
    digest = hashlib.md5(index.files[f"{TASK}.tar"]).hexdigest()
    monkeypatch.setitem(
        apps.DecathlonDataset.resource, TASK, f"http://127.0.0.1:{index.server_port}/f/{TASK}.tar"
    )
    monkeypatch.setitem(apps.DecathlonDataset.md5, TASK, digest)
    return index


def test_monai_downloads_and_a_killed_unpacking_is_not_taken_for_the_task(served, tmp_path):
    half = tmp_path / "msd" / ".staging" / TASK
    half.mkdir(parents=True)
    (half / "left-over").write_text("x")
    assert open_source(f"msd:{TASK}", cache=tmp_path).ids == ("case_001", "case_002")
    assert not (tmp_path / "msd" / TASK / "left-over").exists()
    served.requests.clear()
    assert len(open_source(f"msd:{TASK}", cache=tmp_path).subjects) == 2
    assert served.requests == []


def test_damaged_archive_is_refused(served, tmp_path):
    served.files[f"{TASK}.tar"] = served.files[f"{TASK}.tar"][:-10] + b"0123456789"
    with pytest.raises(TaskUnavailable, match="md5"):
        open_source(f"msd:{TASK}", cache=tmp_path)
    assert not (tmp_path / "msd" / TASK).exists()


def test_without_network_the_archive_and_its_place_are_named_and_used(served, tmp_path):
    import monai.apps

    data = served.files.pop(f"{TASK}.tar")
    place = tmp_path / "msd" / f"{TASK}.tar"
    with pytest.raises(TaskUnavailable) as error:
        open_source(f"msd:{TASK}", cache=tmp_path)
    assert str(place) in str(error.value) and monai.apps.DecathlonDataset.md5[TASK] in str(error.value)
    served.requests.clear()
    place.write_bytes(data)
    assert open_source(f"msd:{TASK}", cache=tmp_path).ids == ("case_001", "case_002")
    assert served.requests == []


def test_all_ten_tasks_are_monais():
    apps = pytest.importorskip("monai.apps")
    assert {task.name for task in TASKS} == set(apps.DecathlonDataset.resource)
