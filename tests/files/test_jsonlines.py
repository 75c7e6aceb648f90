from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from toolret.errors import CatalogError, DemoError
from toolret.files import jsonlines
from toolret.files.jsonlines import read_rows


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(content)
    return path


def test_rows_come_with_their_lines_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = _file(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": "\xc3\xa9"}')
    assert list(read_rows(path, error=DemoError)) == [("line 1", {"a": 1}), ("line 4", {"b": "é"})]


def test_gzip_is_recognized_by_content_not_by_name(tmp_path: Path) -> None:
    path = _file(tmp_path, gzip.compress(b'{"a": 1}\n'))
    assert list(read_rows(path, error=DemoError)) == [("line 1", {"a": 1})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b'{"a": 1}\n{"a": }\n', "line 2: broken JSON at column 7: Expecting value"),
        (
            b'[\n  {"a": 1}\n]\n',
            "line 1: broken JSON at column 2: Expecting value; each line must hold one whole JSON "
            "object",
        ),
        (b'{"a": "b\tc"}', "line 1: broken JSON at column 9: Invalid control character"),
        (b'{"a": "b}\n', "line 1: broken JSON at column 7: Unterminated string"),
        (b"[1, 2]\n", "line 1: expected one JSON object, found [1, 2]"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: byte 8 of the line is not UTF-8"),
        (b'{"a": NaN}', "line 1: NaN is not JSON (at /a)"),
        (b'{"a": 1e999}', "line 1: the number '1e999' is too large (at /a)"),
        (b'{"a": ' + b"1" * 5000 + b"}", "line 1: a whole number has too many digits (at /a)"),
        (
            b'{"a": [0, {"b/c": {"d": 1, "d": 2}}]}',
            "line 1: the key 'd' stands twice in one object (at /a/1/b~1c)",
        ),
        (b'{"a": 1, "b": 2, "a": 3}', "line 1: the key 'a' stands twice in one object"),
        (b'{"a": "\\ud800"}', "line 1: a string holds half of a surrogate pair (at /a)"),
        (b"[" * 100_000, "line 1: the JSON is nested too deeply"),
    ],
)
def test_a_bad_file_is_an_error_that_names_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(DemoError) as caught:
        list(read_rows(path, error=DemoError))
    assert str(caught.value) == f"{path}: {message}"


def test_a_damaged_gzip_file_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    for content in (whole[:-12], whole[:20] + b"\xff\xff\xff" + whole[23:]):
        path = _file(tmp_path, content)
        with pytest.raises(CatalogError, match="the gzip file is damaged after line"):
            list(read_rows(path, error=CatalogError))


def test_a_missing_file_a_folder_and_an_impossible_name_are_errors(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "none.jsonl", "there is no such file"),
        (tmp_path, "is a folder, not a file"),
        (tmp_path / ("x" * 5000), "cannot be read: File name too long"),
    ]:
        with pytest.raises(CatalogError) as caught:
            list(read_rows(path, error=CatalogError))
        assert str(caught.value) == f"{path}: {message}"


def test_a_line_that_is_too_long_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "MAX_BYTES", 10)
    path = _file(tmp_path, b'{"a": 1}\n{"a": 1234}\n')
    with pytest.raises(DemoError, match="line 2: the line is longer than 10 bytes"):
        list(read_rows(path, error=DemoError))
