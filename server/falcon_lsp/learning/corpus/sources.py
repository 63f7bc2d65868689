"""Turn the sources that a person names into projects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from falcon_lsp.learning.corpus import folders
from falcon_lsp.learning.corpus.archives import read_archive
from falcon_lsp.learning.corpus.evaluation import normalise
from falcon_lsp.learning.corpus.project import Project
from falcon_lsp.learning.corpus.tasks import mbpp_training


def find_projects(sources: Iterable[str], benchmarks: Path) -> list[Project]:
    """Return the projects of ``sources``, each once: the first source that has it counts.

    A source is ``stdlib``, ``installed``, ``mbpp-train``, a package archive, a folder of archives,
    a ``node_modules`` folder, a git checkout or any other folder.

    Raises:
        ValueError: a source is nothing of these.
    """
    found: dict[str, Project] = {}
    for source in sources:
        for project in _projects_of(source, benchmarks):
            found.setdefault(normalise(project.name), project)
    return list(found.values())


def _projects_of(source: str, benchmarks: Path) -> Iterator[Project]:
    path = Path(source)
    if source == "stdlib":
        yield folders.standard_library()
    elif source == "installed":
        yield from folders.installed()
    elif source == "mbpp-train":
        yield mbpp_training(benchmarks)
    elif path.is_file():
        yield read_archive(path)
    elif not path.is_dir():
        raise ValueError(f"{source}: no such file or folder; see --help for what a source may be.")
    elif path.name == "node_modules":
        yield from folders.npm_packages(path)
    elif archives := sorted([*path.glob("*.whl"), *path.glob("*.tar.gz")]):
        yield from map(read_archive, archives)
    else:
        yield folders.checkout(path)
