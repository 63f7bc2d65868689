"""From bytes to messages: every wrong shape has its code, and its id where it has one."""

import pytest

from falcon_lsp.lsp.messages import Call, Code, Refused, Reply, decode, error_reply

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"jsonrpc":"2.0","method":"m"}', Call("m", None)),
        (b'{"jsonrpc":"2.0","method":"m","params":null}', Call("m", None)),
        (b'{"jsonrpc":"2.0","method":"m","id":1,"params":[2]}', Call("m", [2], 1)),
        (b'{"jsonrpc":"2.0","method":"m","id":"1","params":{}}', Call("m", {}, "1")),
        (b'{"jsonrpc":"2.0","method":"m","id":0,"result":1}', Call("m", None, 0)),
        (b'{"jsonrpc":"2.0","method":"m","id":' + b"9" * 40 + b"}", Call("m", None, 10**40 - 1)),
        (b'{"jsonrpc":"2.0","id":"x","result":null}', Reply("x", None, None)),
        (b'{"jsonrpc":"2.0","id":7,"error":{"code":1}}', Reply(7, None, {"code": 1})),
    ],
)
def test_a_well_formed_message_is_read(body: bytes, expected: Call | Reply) -> None:
    assert decode(body) == expected


@pytest.mark.parametrize(
    ("body", "code", "msg_id", "answered"),
    [
        (b"", Code.PARSE_ERROR, None, True),
        (b"{", Code.PARSE_ERROR, None, True),
        (b"\xff\xfe{", Code.PARSE_ERROR, None, True),
        ('{"jsonrpc":"2.0","method":"m","id":1}'.encode("utf-16"), Code.PARSE_ERROR, None, True),
        (b'{"jsonrpc":"2.0","method":"m","id":NaN}', Code.PARSE_ERROR, None, True),
        (b'{"jsonrpc":"2.0","method":"m","id":1,"x":-Infinity}', Code.PARSE_ERROR, None, True),
        (b'{"jsonrpc":"2.0","method":"m","id":' + b"9" * 5000 + b"}", Code.PARSE_ERROR, None, True),
        (DEEP, Code.PARSE_ERROR, None, True),
        (b"[]", Code.INVALID_REQUEST, None, True),
        (b'[{"jsonrpc":"2.0","method":"m","id":1}]', Code.INVALID_REQUEST, None, True),
        (b"3", Code.INVALID_REQUEST, None, True),
        (b"null", Code.INVALID_REQUEST, None, True),
        (b"{}", Code.INVALID_REQUEST, None, True),
        (b'{"jsonrpc":"2.0","id":5}', Code.INVALID_REQUEST, 5, True),
        (b'{"jsonrpc":"1.0","method":"m","id":5}', Code.INVALID_REQUEST, 5, True),
        (b'{"method":"m","id":"a"}', Code.INVALID_REQUEST, "a", True),
        (b'{"jsonrpc":"2.0","method":3,"id":5}', Code.INVALID_REQUEST, 5, True),
        (b'{"jsonrpc":"2.0","method":null}', Code.INVALID_REQUEST, None, True),
        *(
            (b'{"jsonrpc":"2.0","method":"m","id":%s}' % odd, Code.INVALID_REQUEST, None, True)
            for odd in (b"null", b"1.0", b"1e3", b"true", b"false", b"{}", b"[1]")
        ),
        (b'{"jsonrpc":"2.0","method":"m","id":5,"params":3}', Code.INVALID_PARAMS, 5, True),
        (b'{"jsonrpc":"2.0","method":"m","params":"x"}', Code.INVALID_PARAMS, None, False),
        (b'{"jsonrpc":"2.0","id":null,"result":1}', Code.INVALID_REQUEST, None, False),
        (b'{"jsonrpc":"2.0","id":1.5,"error":{}}', Code.INVALID_REQUEST, None, False),
        (b'{"jsonrpc":"1.0","id":1,"result":{}}', Code.INVALID_REQUEST, None, False),
    ],
)
def test_a_wrong_message_is_refused(
    body: bytes, code: Code, msg_id: int | str | None, answered: bool
) -> None:
    with pytest.raises(Refused) as refused:
        decode(body)
    assert (refused.value.code, refused.value.msg_id) == (code, msg_id)
    assert refused.value.answered is answered


def test_an_error_text_is_cut() -> None:
    assert len(error_reply(1, Code.INTERNAL_ERROR, "x" * 10_000)["error"]["message"]) == 200
