from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from toolret.catalogs import documents
from toolret.catalogs.documents import read_document
from toolret.catalogs.source import Document
from toolret.errors import CatalogError


def _read(folder: Path, content: str | bytes) -> Document:
    path = folder / "catalog"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path)


@pytest.mark.parametrize(
    "content",
    ['{"a": [1]}', '{\n  "a": [1]\n}', "a: [1]", "a:\n- 1\n", '\ufeff{"a": [1]}'],
)
def test_json_and_yaml_are_told_apart_by_content(tmp_path: Path, content: str) -> None:
    document = _read(tmp_path, content)
    assert document == Document({"a": [1]}, str(tmp_path / "catalog"))


def test_yaml_may_begin_as_json_does_in_a_file_named_so(tmp_path: Path) -> None:
    path = tmp_path / "a.YAML"
    path.write_text("{a: [1]}")
    assert read_document(path).content == {"a": [1]}
    path.write_text('{"a": NaN}')
    with pytest.raises(CatalogError, match="NaN is not JSON"):
        read_document(path)
    path.write_text("{a: [}")
    with pytest.raises(CatalogError, match="broken YAML"):
        read_document(path)


def test_json_lines_keep_the_line_of_each_object(tmp_path: Path) -> None:
    document = _read(tmp_path, '\n{"a": 1}\n\n{"a": 2}\n{"a": 3}\n')
    assert document.content == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert document.lines == (2, 4, 5)
    assert document.place(1) == "line 4"


def test_the_place_in_a_list_is_a_pointer(tmp_path: Path) -> None:
    assert _read(tmp_path, '[{"a": 1}]').place(0) == "/0"


def test_gzipped_documents_are_read(tmp_path: Path) -> None:
    assert _read(tmp_path, gzip.compress(b"a: 1")).content == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b'{\n  "a": 1,\n}', "line 3, column 1: broken JSON: "),
        (b'{"a": 1}\n{"a"\n', "line 2: broken JSON at column 5: "),
        (b"[1, NaN]", "NaN is not JSON (at /1)"),
        (b"a: 1\nb: [", "line 3, column 1: broken YAML: "),
        (b"a: 1\na: 2", "line 2, column 1: the key 'a' stands twice in one mapping"),
        (b"a: 1\nb: \xe9\n", "line 2: the text is not UTF-8: save it as UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: the text is not UTF-8: save it as UTF-8"),
    ],
)
def test_a_bad_document_is_an_error_with_file_and_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        _read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'catalog'}: {message}")


def test_documents_over_the_limits_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 20)
    with pytest.raises(CatalogError, match="the document is larger than 20 bytes: split it"):
        _read(tmp_path, '{\n"a":\n"0123456789"\n}')
    monkeypatch.setattr(documents, "MAX_YAML_BYTES", 10)
    with pytest.raises(CatalogError, match="convert it to JSON"):
        _read(tmp_path, "a: 0123456789")


def test_a_json_document_of_130_mb_is_read_and_a_yaml_one_refused_at_once(tmp_path: Path) -> None:
    item = json.dumps({"description": "x" * 1000}) + ",\n"
    text = "[\n" + item * 133_000 + "{}]"
    assert len(text) > documents.MAX_YAML_BYTES
    assert len(_read(tmp_path, text).content) == 133_001
    started = time.process_time()
    with pytest.raises(CatalogError, match="the YAML document is larger than 134,217,728 bytes"):
        _read(tmp_path, "# no list\n" + text)
    assert time.process_time() - started < 10
