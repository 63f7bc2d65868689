"""A project of the corpus: what is known of it, and how its files are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

Files = Mapping[str, Callable[[], bytes]]
"""How to read each file of a project, by its path inside the project, in a fixed order."""


@dataclass(frozen=True, slots=True)
class Project:
    """One project: what its metadata says, and ``open``, whose files are readable within it.

    ``aliases`` are further names it goes by: its folder's, its repository's.
    """

    name: str
    version: str
    licence: str
    open: Callable[[], AbstractContextManager[Files]]
    aliases: tuple[str, ...] = ()
