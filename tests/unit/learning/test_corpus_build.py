"""What a corpus holds, and what it never holds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from corpus_samples import module, write_folder, write_tasks, write_wheel
from falcon_lsp.learning.corpus import read_shards
from falcon_lsp.learning.corpus.__main__ import main
from falcon_lsp.learning.corpus.build import BOILERPLATE_PROJECTS, build
from falcon_lsp.learning.corpus.shards import MANIFEST, CorpusDamagedError
from falcon_lsp.learning.corpus.sources import find_projects
from secret_generator import github


class Workshop:
    """Builds corpora from sources and benchmarks under one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.wheels, self.benchmarks = root, root / "wheels", root / "benchmarks"
        self.out = root / "corpus"
        self.benchmarks.mkdir()

    def build(
        self, *sources: Path | str, evaluated: Sequence[Path] = (), characters: int = 10**6
    ) -> dict[str, Any]:
        named = [str(source) for source in sources] or [str(self.wheels)]
        return build(
            find_projects(named, self.benchmarks),
            self.out,
            characters=characters,
            seed=7,
            benchmarks=self.benchmarks,
            evaluated=find_projects(map(str, evaluated), self.benchmarks),
        )

    def paths(self) -> list[str]:
        return sorted(file.path for file in read_shards(self.out))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.mark.parametrize("name", ["requests", "Jinja2", "PyJWT", "more_itertools", "python-trio"])
def test_no_file_of_a_project_in_never_train_gets_in(workshop: Workshop, name: str) -> None:
    write_wheel(workshop.wheels, name, {"plain/core.py": module(1)})
    write_wheel(workshop.wheels, "other", {"other/core.py": module(2)})
    manifest = workshop.build()
    assert workshop.paths() == ["other/core.py"]
    assert manifest["skipped"] == {name: "evaluation project"}


@pytest.mark.parametrize(
    "path",
    ["pkg/inner/rich/console.py", "pkg/bs4.py", "attr/_make.py", "pkg/fontTools/ttLib/core.py"],
)
def test_nor_one_that_another_project_carries(workshop: Workshop, path: str) -> None:
    write_wheel(workshop.wheels, "pkg", {path: module(1), "pkg/core.py": module(2)})
    manifest = workshop.build()
    assert workshop.paths() == ["pkg/core.py"]
    assert manifest["dropped"]["evaluation project by name"] == 1


def test_a_checkout_is_known_by_its_folder_too(workshop: Workshop) -> None:
    project = '[project]\nname = "renamed"\nlicense = "MIT"\n'
    files = {"pyproject.toml": project, "src/core.py": module(1)}
    folder = write_folder(workshop.root / "flask", files)
    assert workshop.build(folder)["skipped"] == {"renamed": "evaluation project"}


@pytest.mark.parametrize(
    ("benchmark", "task_id", "kept"),
    [
        ("HumanEval.jsonl.gz", "HumanEval/0", False),
        ("mbpp.jsonl.gz", 510, False),
        ("mbpp.jsonl.gz", 601, True),
        ("mbpp.jsonl.gz", 974, True),
    ],
)
def test_a_run_of_13_words_of_a_benchmark_keeps_a_file_out(
    workshop: Workshop, benchmark: str, task_id: str | int, kept: bool
) -> None:
    task = {"task_id": task_id, "prompt": module(5)[40:160], "canonical_solution": module(5)[160:]}
    write_tasks(workshop.benchmarks / benchmark, [task])
    inside = module(5, 2).replace("    ", "\t") + module(6, 30)
    write_wheel(workshop.wheels, "pkg", {"pkg/near.py": inside, "pkg/far.py": module(7)})
    workshop.build()
    assert ("pkg/near.py" in workshop.paths()) is kept
    assert "pkg/far.py" in workshop.paths()


def test_a_copy_from_an_evaluation_project_stays_out_under_any_name(workshop: Workshop) -> None:
    write_wheel(workshop.root / "evaluated", "flask", {"flask/app.py": module(1, 30)})
    copied = module(2, 20) + "\n\n\n".join(module(1, 30).split("\n\n\n")[10:15])
    write_wheel(workshop.wheels, "pkg", {"pkg/copied.py": copied, "pkg/own.py": module(3)})
    manifest = workshop.build(workshop.wheels, evaluated=[workshop.root / "evaluated"])
    assert workshop.paths() == ["pkg/own.py"]
    assert manifest["dropped"]["overlaps an evaluation project"] == 1
    assert manifest["evaluation"]["projects"] == ["flask 1.0"]


@pytest.mark.parametrize("projects", [BOILERPLATE_PROJECTS - 1, BOILERPLATE_PROJECTS])
def test_what_many_projects_share_is_boilerplate(workshop: Workshop, projects: int) -> None:
    idiom = module(99, 2)
    write_wheel(workshop.root / "evaluated", "click", {"click/core.py": idiom})
    for number in range(projects):
        write_wheel(workshop.wheels, f"p{number}", {f"p{number}/a.py": module(number, 9) + idiom})
    manifest = workshop.build(workshop.wheels, evaluated=[workshop.root / "evaluated"])
    assert manifest["files"] == (projects if projects >= BOILERPLATE_PROJECTS else 0)


def test_a_licence_at_the_head_of_files_is_no_overlap(workshop: Workshop) -> None:
    head = "".join(f"# {line}\n" for line in module(50).splitlines())
    write_wheel(workshop.root / "evaluated", "click", {"click/core.py": head + module(51)})
    write_wheel(workshop.wheels, "pkg", {"pkg/core.py": head + module(52)})
    workshop.build(workshop.wheels, evaluated=[workshop.root / "evaluated"])
    assert workshop.paths() == ["pkg/core.py"]


def test_licences_decide_and_are_recorded(workshop: Workshop) -> None:
    write_wheel(workshop.wheels, "free", {"free/core.py": module(1)}, "License-Expression: ISC")
    write_wheel(workshop.wheels, "copyleft", {"c/core.py": module(2)}, "License: GPL-3.0-only")
    write_wheel(workshop.wheels, "silent", {"s/core.py": module(3)}, "Summary: says nothing")
    manifest = workshop.build()
    assert manifest["projects"] == {
        "free": {
            "version": "1.0",
            "licence": "ISC",
            "files": 1,
            "characters": len(module(1)),
        }
    }
    assert manifest["skipped"] == {
        "copyleft": "licence: GPL-3.0-only",
        "silent": "licence: none stated",
    }


def test_a_file_with_a_secret_stays_out(workshop: Workshop) -> None:
    leak, _ = github(random.Random(0))
    files = {"pkg/leak.py": f"{module(1)}\n{leak}\n", "pkg/core.py": module(2)}
    write_wheel(workshop.wheels, "pkg", files)
    assert workshop.build()["dropped"]["secret"] == 1
    assert workshop.paths() == ["pkg/core.py"]


def test_near_duplicates_are_kept_once_across_projects(workshop: Workshop) -> None:
    changed = module(1, 30).replace("Module 1 of", "Module one of").replace("window", "door", 2)
    write_wheel(workshop.wheels, "first", {"first/core.py": module(1, 30)})
    write_wheel(workshop.wheels, "second", {"second/copy.py": changed, "second/own.py": module(2)})
    assert workshop.build()["dropped"]["near-duplicate"] == 1
    assert workshop.paths() == ["first/core.py", "second/own.py"]


def test_no_project_drowns_the_rest(workshop: Workshop) -> None:
    giant = {f"giant/m{n}.py": module(n) for n in range(40)}
    write_wheel(workshop.wheels, "giant", giant)
    for number in range(3):
        files = {f"p{number}/m{n}.py": module(100 + 10 * number + n) for n in range(4)}
        write_wheel(workshop.wheels, f"p{number}", files)
    manifest = workshop.build(characters=20 * len(module(0)))
    files = {name: entry["files"] for name, entry in manifest["projects"].items()}
    assert {name: files[name] for name in ("p0", "p1", "p2")} == {"p0": 4, "p1": 4, "p2": 4}
    assert 6 <= files["giant"] <= 9
    assert sum(manifest["characters"].values()) <= 20 * len(module(0))


def test_the_same_sources_give_the_same_bytes_and_another_seed_others(workshop: Workshop) -> None:
    for name in ("a", "b"):
        files = {f"{name}/m{n}.py": module(hash_of(name) + n) for n in range(6)}
        write_wheel(workshop.wheels, name, files)
    first = workshop.build(characters=6 * len(module(0)))
    kept = {p.name: p.read_bytes() for p in workshop.out.iterdir()}
    assert workshop.build(characters=6 * len(module(0))) == first
    assert {p.name: p.read_bytes() for p in workshop.out.iterdir()} == kept
    arguments = [str(workshop.wheels), "--out", str(workshop.out), "--seed", "8"]
    scale = f"{6 * len(module(0)) / 1e6}"
    assert main([*arguments, "--megabytes", scale, "--evaluation", str(workshop.benchmarks)]) == 0
    assert {p.name: p.read_bytes() for p in workshop.out.iterdir()} != kept


def hash_of(name: str) -> int:
    return 1000 * ord(name)


def test_what_is_read_back_is_what_was_written(workshop: Workshop) -> None:
    text = '"""Größe, 大小 and line\u2028separators."""\r\n' + module(1).replace("\n", "\r\n")
    write_wheel(workshop.wheels, "pkg", {"pkg/core.py": "\ufeff" + text})
    workshop.build()
    files = list(read_shards(workshop.out))
    assert [(f.path, f.text) for f in files] == [("pkg/core.py", text.replace("\r\n", "\n"))]


def test_a_damaged_shard_is_refused(workshop: Workshop) -> None:
    write_wheel(workshop.wheels, "pkg", {"pkg/core.py": module(1)})
    workshop.build()
    shard = next(p for p in workshop.out.iterdir() if p.name != MANIFEST)
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CorpusDamagedError, match="build the corpus again"):
        list(read_shards(workshop.out))


def test_a_source_that_is_nothing_is_named_in_one_sentence(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nowhere", "--out", str(workshop.out)]) == 1
    assert capsys.readouterr().err.startswith("nowhere: no such file or folder")
    assert not workshop.out.exists()
