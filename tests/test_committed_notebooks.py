"""The committed notebooks: executed, without errors, in short cells, with every section a study needs."""

import ast
import importlib.util
import json
import re
import socket
from pathlib import Path

import pytest

from studykit import home
from studykit.arms.profiles import PROFILES
from studykit.claims.paper import load_papers
from studykit.notebooks import notebooks, parameters_of, study_of
from studykit.report.cards import answer_card

WITHOUT_CLAIMS = ("00_tour", "99_summary")
MOST_LINES = 15
MOST_IMPORTS = 5
SECTIONS = ("## The claim", "## Parameters", "## Verdict", "## Limitations", "## Provenance")
USED = {"claim cards": "claim_card(", "a verdict card": "verdict_card(", "a conclusion": "conclude("}
TRAINS = re.compile(r"\.(tune|tune_all|run|run_all)\(")
PLACES = re.compile(r"""(?<![\w.:/~])/(?:home|root|Users|tmp|var|work|mnt|opt|usr|private)/\S+|[A-Z]:\\\S+""")

every = pytest.mark.parametrize("stem", list(notebooks()))
studies = pytest.mark.parametrize("stem", [stem for stem in notebooks() if stem not in WITHOUT_CLAIMS])


def cells(stem, kind=None):
    content = json.loads(notebooks()[stem].read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if kind in (None, cell["cell_type"])]


def source(cell):
    return "".join(cell["source"])


def imports(stem):
    """What the code imports: (module, name), the name empty where it is the module itself."""
    found = set()
    for cell in cells(stem, "code"):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.ImportFrom):
                found |= {(node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {(alias.name, "") for alias in node.names}
    return found


def lines_that_import(tree):
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def room_of(stem):
    """Name of the package of what a notebook alone uses, where there is one."""
    return f"studykit.studies.{stem.partition('_')[2]}"


def texts(cell):
    """What an output says in words; pictures are left out."""
    for output in cell["outputs"]:
        data = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
        for text in (*data.values(), output.get("text", "")):
            yield "".join(text)


def test_there_are_notebooks_to_look_at():
    assert {*WITHOUT_CLAIMS, "01_bertswin_convergence"} <= set(notebooks())


@every
def test_it_was_executed_from_top_to_bottom_without_error(stem):
    code = cells(stem, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    assert any(cell["outputs"] for cell in code)


@every
def test_its_first_cell_is_a_title(stem):
    first = cells(stem)[0]
    assert first["cell_type"] == "markdown" and re.match(r"# \S", source(first))
    titles = [source(cell) for cell in cells(stem, "markdown")]
    assert sum(len(re.findall(r"^# ", text, flags=re.M)) for text in titles) == 1


@every
def test_one_cell_declares_parameters_and_the_profile_is_smoke(stem):
    tagged = [cell for cell in cells(stem, "code") if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    assert parameters_of(stem)["profile"] == "'smoke'"


@every
def test_its_parameters_are_explained_with_their_types(stem):
    """As ``papermill --help-notebook`` reads them."""
    (cell,) = [cell for cell in cells(stem, "code") if "parameters" in cell["metadata"].get("tags", [])]
    for line in source(cell).splitlines():
        assert re.fullmatch(r"\w+ = .+  # type: (str|int|float|list\[int\]) \w.+", line), line


@every
def test_cells_are_short_and_explained(stem):
    for cell in cells(stem, "code"):
        lines = [line for line in source(cell).splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, f"{len(lines)} lines: {lines[0]}"
    kinds = [cell["cell_type"] for cell in cells(stem)]
    assert "code code code code" not in " ".join(kinds), "four code cells without a word between them"


@every
def test_it_imports_in_five_lines_in_its_first_cell(stem):
    """What belongs to every study comes from ``studykit.study``, the rest from the folder of its own."""
    first, *others = [ast.parse(source(cell)) for cell in cells(stem, "code")]
    assert 0 < len(lines_that_import(first)) <= MOST_IMPORTS
    assert [line for tree in others for line in lines_that_import(tree)] == []


@every
def test_it_uses_all_that_it_imports(stem):
    trees = [ast.parse(source(cell)) for cell in cells(stem, "code")]
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    aliases = [
        alias
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert {alias.asname or alias.name for alias in aliases} <= used


@pytest.mark.parametrize("stem", [stem for stem in notebooks() if importlib.util.find_spec(room_of(stem))])
def test_the_room_of_its_study_offers_what_it_imports_and_no_more(stem):
    room = importlib.import_module(room_of(stem))
    assert set(room.__all__) == {name for module, name in imports(stem) if module == room.__name__}
    assert stem[:2] in room.__doc__ or "tour" in room.__doc__


@every
def test_of_the_studies_rooms_it_imports_from_its_own_alone(stem):
    own = room_of(stem)
    modules = {module for module, _ in imports(stem) if module.startswith("studykit.studies")}
    assert {module for module in modules if module != own and not module.startswith(f"{own}.")} == set()


@every
def test_what_it_imports_of_the_package_is_there(stem):
    for module, name in imports(stem):
        if module.partition(".")[0] == "studykit":
            room = importlib.import_module(module)
            assert not name or hasattr(room, name) or importlib.util.find_spec(f"{module}.{name}"), name


@every
def test_it_names_no_place_and_no_machine(stem):
    host = socket.gethostname()
    for cell in cells(stem):
        for text in (source(cell), *(texts(cell) if cell["cell_type"] == "code" else ())):
            assert not PLACES.search(text), PLACES.search(text)[0]
            for place in (home.home(), home.data_dir(), Path.home()):
                assert f"{place}/" not in text
            assert len(host) < 8 or host not in text
    content = json.loads(notebooks()[stem].read_text(encoding="utf-8"))
    assert content["metadata"].keys() <= {"kernelspec", "language_info"}
    assert all(cell["metadata"].keys() <= {"tags", "jupyter"} for cell in content["cells"])


@pytest.mark.parametrize("text", ["see /home/ann/data", "File /tmp/x.py", r"C:\Users\ann", "'/root/a b'"])
def test_the_search_for_places_finds(text):
    assert PLACES.search(text)


@pytest.mark.parametrize("text", ["https://arxiv.org/abs/1", "results/tmp/x", "and/or", "~/tmp/x", "1 / 2"])
def test_the_search_for_places_passes_over(text):
    assert not PLACES.search(text)


@studies
def test_a_study_has_the_sections_of_one_and_they_come_in_order(stem):
    words = "\n".join(source(cell) for cell in cells(stem, "markdown"))
    places = [words.find(section) for section in SECTIONS]
    assert -1 not in places, f"missing: {[s for s, at in zip(SECTIONS, places, strict=True) if at < 0]}"
    assert places == sorted(places)
    code = "\n".join(source(cell) for cell in cells(stem, "code"))
    assert not [name for name, call in USED.items() if call not in code]
    assert f'open_study("{study_of(stem)}"' in code.replace("\n    ", "")


@studies
def test_what_a_design_can_see_is_said_before_anything_is_trained(stem):
    code = [source(cell) for cell in cells(stem, "code")]
    trained = [place for place, text in enumerate(code) if TRAINS.search(text)]
    seen = [place for place, text in enumerate(code) if ".power()" in text]
    assert not trained or (seen and seen[0] < trained[0])


def test_the_search_for_trainings_finds_those_of_a_study():
    training = {
        stem[:2] for stem in notebooks() if any(TRAINS.search(source(c)) for c in cells(stem, "code"))
    }
    assert {"01", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"} <= training


@studies
def test_a_study_ends_in_what_came_out_and_the_words_are_those_of_the_evidence(stem):
    *_, cell = (cell for cell in cells(stem, "code") if "answer_card(" in source(cell))
    assert source(cell) == f'answer_card("{study_of(stem)}")'
    (output,) = cell["outputs"]
    assert "".join(output["data"]["text/markdown"]) == answer_card(study_of(stem)), "execute it again"
    words = "\n".join(source(cell) for cell in cells(stem, "markdown"))
    places = [words.find(f"## {name}") for name in ("Verdict", "What came out", "Limitations")]
    assert -1 not in places and places == sorted(places)


@studies
def test_a_study_says_on_top_that_its_numbers_are_no_evidence_and_links_to_what_is(stem):
    profiles = [name for name in PROFILES if name != "smoke"]
    places = [f"{study_of(stem)}/{profile}/{stem}.ipynb" for profile in profiles]
    places = [place for place in places if (home.results_dir() / place).is_file()]
    first = source(cells(stem)[0])
    assert "`smoke`" in first, "its numbers are of the smoke profile, and its first cell does not say so"
    assert not places or any(f"](../results/{place})" in first for place in places)


@studies
def test_a_study_belongs_to_a_claim_of_a_paper_and_names_only_claims_of_its_own(stem):
    claims = [claim for paper in load_papers().values() for claim in paper.claims]
    own = {claim.id for claim in claims if claim.notebook == stem}
    assert own and {claim.study for claim in claims if claim.notebook == stem} == {study_of(stem)}
    code = "\n".join(source(cell) for cell in cells(stem, "code"))
    foreign = {claim.id for claim in claims} - own
    assert {id for id in own if f'"{id}"' in code or f'/{id}"' in code}, "it concludes none of its claims"
    assert not {id for id in foreign if f'"{id}"' in code}
