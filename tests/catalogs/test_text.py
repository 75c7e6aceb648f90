from __future__ import annotations

import time

import pytest

from toolret.catalogs.text import join_texts, operation_name, plain_text, slug


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Creates an order.", "Creates an order."),
        ("  two\n\n lines ", "two lines"),
        ("<p>A <code>new</code> one.</p><ul><li>x</li></ul>", "A new one. x"),
        ("a <id>, a List<String>, &lt;b&gt; &amp; 1 < 2", "a <id>, a List<String>, <b> & 1 < 2"),
        ("See [the docs](https://x.example/a_(b)) ![pic](p.png)", "See the docs pic"),
        ("**Bold**, *it*, ***both***, `code`", "Bold, it, both, code"),
        (
            "2 * 3 * 4, *.txt and *.md, snake_case_name",
            "2 * 3 * 4, *.txt and *.md, snake_case_name",
        ),
        (
            "Takes `*`, `%` and `<b>`; use `*` or **the `_id`**",
            "Takes *, % and <b>; use * or the _id",
        ),
        ("`&lt;id&gt;` <i>`a`</i> [`b`](c) &#0;`d`\0", "<id> a b \ufffdd"),
        ("# Title\ntext\n```json\n{}\n```", "Title text {}"),
    ],
)
def test_markup_is_reduced_to_words(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize("part", ["*a ", "` `` ", "<!-- ", "[x](a", "[", "<p ", "#  ", "&", "(*"])
def test_no_markup_takes_quadratic_time(part: str) -> None:
    started = time.process_time()
    plain_text(part * 50_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("summary", "description", "whole"),
    [
        ("Cancel order", "Stops it before it ships.", "Cancel order. Stops it before it ships."),
        ("Really?", "Yes.", "Really? Yes."),
        ("Cancel order", "", "Cancel order"),
        ("", "Stops it.", "Stops it."),
        ("Get all", "Get all `orders`.", "Get all orders."),
        ("Get all orders.", "get all", "Get all orders."),
        ("Get all", "Get allowances.", "Get all. Get allowances."),
        ("", "", ""),
    ],
)
def test_summary_and_description_are_joined_without_repetition(
    summary: str, description: str, whole: str
) -> None:
    assert join_texts(summary, description) == whole


@pytest.mark.parametrize(
    ("title", "namespace"),
    [
        ("Orders API", "orders"),
        ("Spotify Web API", "spotify_web"),
        ("Améthyste", "améthyste"),
        ("Ame\u0301thyste", "améthyste"),
        ("हिन्दी API", "हिन्दी"),
        ("Nager.Date API - V3", "nager_date"),
        ("Orders REST API 2.0.1", "orders"),
        ("Orders API 2", "orders"),
        ("Studio 54 API", "studio_54"),
        ("1Forge Forex API", "1forge_forex"),
        ("API", "api"),
        ("", ""),
    ],
)
def test_a_title_becomes_a_namespace(title: str, namespace: str) -> None:
    assert slug(title) == namespace


def test_an_operation_without_id_is_named_from_method_and_path() -> None:
    assert operation_name("GET", "/users/{user-id}/files") == "get_users_user_id_files"
    assert operation_name("post", "/") == "post"
