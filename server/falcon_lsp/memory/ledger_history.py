"""How a long stretch of the ledger is read for an overview: without what the model was shown.

A prompt is most of an episode; months of them would fill the memory and hold the ledger's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

BATCH = 500
"""Rows read at a time: whoever records meanwhile waits for one batch at most."""

_OUTLINES = """
    SELECT seq, event_id, kind, time, version, completion_id, workspace, path, language,
    CASE kind WHEN 'suggested' THEN json_set(payload,
        '$.prompt', json('{"path": "", "prefix": "", "suffix": ""}'),
        '$.token_ids', json('[]'), '$.logprobs', json('[]'), '$.features', json('[]'))
    ELSE payload END
    FROM events WHERE seq > ? AND time >= ? AND kind <> 'held' AND json_valid(payload)
    ORDER BY seq LIMIT ?"""


def outlines(
    read: Callable[[str, Sequence[object]], list[Any]], since: float
) -> Iterator[Sequence[Any]]:
    """Yield the columns of every event since ``since`` (seconds), suggestions without prompts."""
    seq = 0
    while rows := read(_OUTLINES, (seq, since, BATCH)):
        for row in rows:
            yield row[1:]
        seq = rows[-1][0]
