"""Read whole rows out of a damaged ledger, page by page, without trusting anything else in it.

SQLite keeps a row of the ``events`` table in a leaf page of 4,096 bytes, long ones continued on
overflow pages (https://www.sqlite.org/fileformat2.html). Every row carries a checksum of its own
content, so a row counts as read only when the checksum holds: no root, schema, index or page chain
needs to be intact. The write-ahead log is read the same way, because SQLite drops everything behind
a damaged frame of it without a word.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGE = 4096
_WAL_HEADER = 32
_FRAME_HEADER = 24
_FRAME = _FRAME_HEADER + PAGE
_LEAF = 0x0D
_MAX_LOCAL = PAGE - 35
_MIN_LOCAL = (PAGE - 12) * 32 // 255 - 23
_INT_BYTES = (0, 1, 2, 3, 4, 6, 8)

Row = tuple[object, ...]
"""``event_id, kind, time, version, completion_id, workspace, path, language, payload``."""

_EVENT_COLUMNS = 11  # seq, the nine of `Row`, checksum
_QUEUE_COLUMNS = 8


def checksum(row: Row) -> int:
    """Return the CRC-32 that the ledger stores beside ``row``."""
    return zlib.crc32(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))


Job = tuple[str, int, str, str]
"""``state, tries, result, completion_id`` of a queue row that is over and done with."""


def readable_rows(database: Path, log: Path) -> tuple[list[tuple[int, Row]], list[Job]]:
    """Return every whole event with its number, once each, in order; and the closed queue rows.

    An event that was forgotten (payload None) stays forgotten even if an older copy is found. Queue
    rows have no checksum: they are taken by their shape, and at worst an episode is learned twice.
    """
    pages = _file_pages(database)
    frames = _log_pages(log)
    found: dict[str, tuple[int, Row]] = {}
    jobs: dict[str, Job] = {}
    for lookup in (dict(pages), {**dict(pages), **dict(frames)}):
        for _, page in (*pages, *frames):
            for sequence, values in _page_rows(page, lookup):
                if (row := _whole_event(values)) is not None:
                    if row[0] not in found or row[-1] is None:
                        found[str(row[0])] = (sequence, row)
                elif len(values) == _QUEUE_COLUMNS and isinstance(values[1], str):
                    jobs[values[1]] = _job(values)
    closed = [job for job in jobs.values() if job[0] in {"done", "set_aside"}]
    return sorted(found.values(), key=lambda item: item[0]), closed


def _whole_event(values: list[object]) -> Row | None:
    if len(values) != _EVENT_COLUMNS or values[0] is not None:
        return None
    row = tuple(values[1:-1])
    if isinstance(row[2], int):  # SQLite stores a whole number of a REAL column as an integer
        row = (*row[:2], float(row[2]), *row[3:])
    return row if checksum(row) == values[-1] else None


def _job(values: list[object]) -> Job:
    _, completion_id, _, tries, state, _, _, result = values
    return str(state), tries if isinstance(tries, int) else 0, str(result), str(completion_id)


def log_damaged(log: Path) -> bool:
    """Whether a write-ahead log breaks off before its end, so that SQLite would drop commits.

    A torn last frame is no damage: its transaction was never acknowledged.
    """
    content = log.read_bytes() if log.is_file() else b""
    if len(content) <= _WAL_HEADER:
        return False
    magic, salts = struct.unpack(">I", content[:4])[0], content[16:24]
    order = ">" if magic & 1 else "<"
    state = _log_checksum(content[:24], (0, 0), order)
    if magic >> 1 != 0x377F0682 >> 1 or struct.pack(">II", *state) != content[24:32]:
        return True
    valid = True
    for start in range(_WAL_HEADER, len(content) - _FRAME + 1, _FRAME):
        header = content[start : start + _FRAME_HEADER]
        same_age = header[8:16] == salts
        if not valid:
            if same_age:
                return True
            continue
        state = _log_checksum(header[:8] + content[start + 24 : start + _FRAME], state, order)
        valid = same_age and struct.pack(">II", *state) == header[16:24]
    return False


def _log_checksum(data: bytes, state: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = state
    for a, b in struct.iter_unpack(f"{order}II", data):
        first = (first + a + second) & 0xFFFFFFFF
        second = (second + b + first) & 0xFFFFFFFF
    return first, second


def _file_pages(database: Path) -> list[tuple[int, bytes]]:
    content = database.read_bytes() if database.is_file() else b""
    return [(i // PAGE + 1, content[i : i + PAGE]) for i in range(0, len(content), PAGE)]


def _log_pages(log: Path) -> list[tuple[int, bytes]]:
    """Return the pages of the log, those left over from before its latest restart first."""
    content = log.read_bytes() if log.is_file() else b""
    starts = range(_WAL_HEADER, len(content) - _FRAME + 1, _FRAME)
    return [
        (int.from_bytes(content[i : i + 4]), content[i + _FRAME_HEADER : i + _FRAME])
        for i in sorted(starts, key=lambda i: content[i + 8 : i + 16] == content[16:24])
    ]


def _page_rows(page: bytes, lookup: Mapping[int, bytes]) -> Iterator[tuple[int, list[object]]]:
    """Yield number and columns of every row of a leaf page that can be decoded at all."""
    if len(page) < 8 or page[0] != _LEAF:
        return
    for index in range(min(int.from_bytes(page[3:5]), len(page) // 4)):
        pointer = 8 + 2 * index
        try:
            sequence, record = _cell(page, int.from_bytes(page[pointer : pointer + 2]), lookup)
            yield sequence, _record(record)
        except (IndexError, ValueError, struct.error):
            continue


def _cell(page: bytes, start: int, lookup: Mapping[int, bytes]) -> tuple[int, bytes]:
    """Return the row number and the record of the cell at ``start``, overflow pages joined."""
    size, start = _varint(page, start)
    sequence, start = _varint(page, start)
    if size <= _MAX_LOCAL:
        return sequence, page[start : start + size]
    local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE - 4)
    local = local if local <= _MAX_LOCAL else _MIN_LOCAL
    parts = [page[start : start + local]]
    missing = size - local
    following = int.from_bytes(page[start + local : start + local + 4])
    while missing > 0:
        overflow = lookup.get(following, b"")
        if len(overflow) < PAGE:
            raise ValueError("the chain of overflow pages is broken")
        parts.append(overflow[4 : 4 + min(missing, PAGE - 4)])
        missing -= len(parts[-1])
        following = int.from_bytes(overflow[:4])
    return sequence, b"".join(parts)


def _record(record: bytes) -> list[object]:
    """Decode SQLite's record format: a header of type numbers, then the values."""
    end, at = _varint(record, 0)
    values: list[object] = []
    start = end
    while at < end:
        kind, at = _varint(record, at)
        size = _value_size(kind)
        if start + size > len(record):
            raise ValueError("the record is cut off")
        values.append(_value(kind, record[start : start + size]))
        start += size
    return values


def _value_size(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    return 8 if kind == 7 else 0 if kind >= 8 else _INT_BYTES[kind]


def _value(kind: int, raw: bytes) -> object:
    if kind >= 12:
        return raw.decode("utf-8") if kind % 2 else raw.hex()
    if kind == 7:
        return float(struct.unpack(">d", raw)[0])
    if kind in {8, 9}:
        return kind - 8
    return int.from_bytes(raw, signed=True) if kind else None


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for offset in range(9):
        byte = data[start + offset]
        if offset == 8:
            return (value << 8) | byte, start + 9
        value = (value << 7) | (byte & 0x7F)
        if not byte & 0x80:
            return value, start + offset + 1
    raise AssertionError("unreachable: the ninth byte always ends a varint")
