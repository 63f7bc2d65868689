"""Tell whether a licence statement is permissive: SPDX, classifiers, free text or a licence file.

A statement that names no known permissive licence is not permissive; nor is one that names a
copyleft or commercial licence beside it, unless the statement offers a choice (``MIT OR GPL-3.0``).
"""

from __future__ import annotations

import re
from email.message import Message
from pathlib import PurePosixPath

_IDS = """
0BSD AFL-2.1 Apache-2.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-3-Clause-LBNL BSL-1.0
BlueOak-1.0.0 CC-BY-4.0 CC0-1.0 CNRI-Python HPND ISC MIT MIT-0 MIT-CMU MIT-Modern-Variant MS-PL
NCSA NIST-PD PSF-2.0 PostgreSQL Python-2.0 Python-2.0.1 Unlicense UPL-1.0 W3C WTFPL X11 ZPL-2.1
Zlib bzip2-1.0.6 curl
"""
PERMISSIVE_IDS = frozenset(_IDS.lower().split())
_PERMISSIVE_WORDS = re.compile(
    r"\b(mit|bsd|new bsd|[0-3]bsd|apache|asl|isc|psf|python software foundation|psfl|unlicen[sc]e|"
    r"zlib|zpl|zope public|hpnd|cc0|public domain|boost software|bsl-1\.0|ncsa|wtfpl|postgresql)\b"
    r"|\b(?:bsd|apache|mit)[-_ ]?[\d(]",
    re.IGNORECASE,
)
_OTHER_WORDS = re.compile(
    r"\b(a?gpl\w*|lgpl\w*|gnu|mpl[-\d. ]|mozilla|epl|eclipse public|cddl|eupl|cecill|sspl|"
    r"proprietary|commercial|elastic license|business source|busl|commons clause|"
    r"all rights reserved|cc[- ]by[- ](?:nc|sa|nd)|non-?commercial|artistic)",
    re.IGNORECASE,
)
_TEXTS = (
    (r"Apache License,?\s+Version 2\.0", "Apache-2.0"),
    (r"Permission is hereby granted, free of charge", "MIT"),
    (r"Redistribution and use in source and binary forms", "BSD-3-Clause"),
    (r"Permission to use, copy, modify,? and(?:/or)? distribute", "ISC"),
    (r"PYTHON SOFTWARE FOUNDATION LICENSE", "PSF-2.0"),
    (r"This is free and unencumbered software released into the public domain", "Unlicense"),
)
_COPYLEFT_TEXT = re.compile(
    r"GNU (?:LESSER |AFFERO |LIBRARY )?GENERAL PUBLIC|Mozilla Public License|GNU [AL]?GPL", re.I
)
_Values = list[bool | str]
_FILE_IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")


def is_permissive(statement: str) -> bool:
    """Return whether ``statement`` (an SPDX expression, classifiers or words) is permissive."""
    decided = _evaluate_spdx(statement)
    if decided is not None:
        return decided
    return bool(_PERMISSIVE_WORDS.search(statement)) and not _OTHER_WORDS.search(statement)


def stated_licence(metadata: Message, licence_text: str) -> str:
    """Return what a distribution's core ``metadata`` says of its licence.

    The SPDX expression comes before classifiers and those before the free field; the text of the
    licence file decides only where all of them are silent.
    """
    classifiers = [
        c.rpartition("::")[2].strip()
        for c in metadata.get_all("Classifier", [])
        if c.startswith("License ::") and not c.endswith("OSI Approved")
    ]
    field = " ".join(str(metadata.get("License", "")).split())
    if len(field) > 120:
        field = identify_text(field) or field
    stated = metadata.get("License-Expression") or ", ".join(classifiers) or field
    return (
        str(stated)[:160] if stated.lower() not in {"", "unknown"} else identify_text(licence_text)
    )


def identify_text(text: str) -> str:
    """Return the SPDX id of a licence's full text; empty where it is unknown or copyleft."""
    if _COPYLEFT_TEXT.search(text[:4000]):
        return ""
    flat = " ".join(text.split())
    return next((name for pattern, name in _TEXTS if re.search(pattern, flat, re.I)), "")


def is_licence_file(path: str) -> bool:
    """Return whether a file of this path holds a licence, by its name."""
    return PurePosixPath(path).name.upper().startswith(("LICEN", "COPYING", "UNLICENSE"))


def header_forbids(text: str) -> bool:
    """Return whether a file's own first lines put it under a licence that is not permissive."""
    head = text[:3000]
    named = _FILE_IDENTIFIER.search(head)
    if named:
        return not is_permissive(named[1].strip())
    return bool(_COPYLEFT_TEXT.search(head))


def _evaluate_spdx(statement: str) -> bool | None:
    """Return the truth of an SPDX expression, or None where ``statement`` is not one."""
    words = re.findall(r"[()]|[^\s()]+", statement)
    values: _Values = []
    for word in words:
        if word.upper() in {"AND", "OR", "WITH"} or word in "()":
            values.append(word.upper())
        elif "WITH" in values[-1:]:
            values.pop()
        elif re.fullmatch(r"[A-Za-z0-9.+-]+", word) and "," not in word:
            values.append(word.lower() in PERMISSIVE_IDS)
        else:
            return None
    try:
        value, rest = _parse_or(values)
    except (IndexError, ValueError):
        return None
    known = any(word.lower() in PERMISSIVE_IDS for word in words)
    return value if not rest and (known or len(words) > 1) else None


def _parse_or(values: _Values) -> tuple[bool, _Values]:
    left, rest = _parse_and(values)
    while rest[:1] == ["OR"]:
        right, rest = _parse_and(rest[1:])
        left = left or right
    return left, rest


def _parse_and(values: _Values) -> tuple[bool, _Values]:
    left, rest = _parse_atom(values)
    while rest[:1] == ["AND"]:
        right, rest = _parse_atom(rest[1:])
        left = left and right
    return left, rest


def _parse_atom(values: _Values) -> tuple[bool, _Values]:
    head, *rest = values
    if isinstance(head, bool):
        return head, rest
    value, rest = _parse_or(rest)
    if (head, *rest[:1]) != ("(", ")"):
        raise ValueError("An operator where a licence should stand, or no closing bracket.")
    return value, rest[1:]
